package readers

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// Goal: what the fast routines read is what the slow ones read, to the last bit, and usual values are read by them. Method: random
// texts, usual and broken ones, after bytes that must not matter.
func TestFastValues(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 2))
	some := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	var floats, numbers, times int
	decimal := &field{kind: fieldNumber}
	var d day
	for range 300_000 {
		junk := some(pad, "0123456789.-+eZ:")
		place := func(text string) (unsafe.Pointer, uint32, uint32) {
			buf := []byte(junk + text + junk)
			return unsafe.Pointer(unsafe.SliceData(buf)), pad, uint32(pad + len(text))
		}
		// A double.
		text := some(1+rng.IntN(9), "0123456789")
		if rng.IntN(20) == 0 {
			text = some(16, "0123456789")
		}
		if rng.IntN(3) > 0 {
			text += "." + some(rng.IntN(8), "0123456789")
		}
		if rng.IntN(4) == 0 {
			text = "-" + text
		}
		if rng.IntN(8) == 0 {
			i := rng.IntN(len(text))
			text = text[:i] + some(1, "0.-+e:/ ") + text[i+1:]
		}
		base, begin, end := place(text)
		want, err := strconv.ParseFloat(text, 64)
		_, exact := shortFloat(base, begin, end, codeBytes)
		v, ok := shortFloat(base, begin, end, 0)
		if exact != (ok && !fieldFloat.isCode([]byte(text))) {
			t.Fatalf("seed %d: %q: read %v, and %v if it must not be a code", seed, text, ok, exact)
		}
		if ok {
			floats++
			if err != nil || math.Float64bits(v) != math.Float64bits(want) {
				t.Fatalf("seed %d: %q is %v, expected %v %v", seed, text, v, want, err)
			}
		}
		// A whole number or a decimal.
		decimal.scale = rng.IntN(4)
		decimal.shortLimit, decimal.limit = math.MaxInt64, 0
		if decimal.scale > 0 {
			decimal.limit = 999_999_999_999
			decimal.shortLimit = decimal.limit
		}
		base, begin, end = place(text)
		in := unsafe.Slice((*byte)(unsafe.Add(base, begin)), end-begin)
		strict := *decimal
		strict.codes = codeBytes
		if v, ok := strict.longNumber(in); ok && fieldNumber.isCode(in) {
			t.Fatalf("seed %d: the code %q was read as %d", seed, in, v)
		}
		if v, ok := decimal.longNumber(in); ok {
			numbers++
			if want, err := decimal.number([]byte(text)); err != nil || v != want {
				t.Fatalf("seed %d: %q with scale %d is %d, expected %d %v", seed, text, decimal.scale, v, want, err)
			}
		}
		// A timestamp.
		text = strings.Join([]string{
			"20" + some(2, "0123"), "0" + some(1, "123456789"),
			some(1, "012") + some(1, "123456789"),
		}, "-") +
			some(1, "TTT ") + some(1, "01") + some(1, "0123456789") + ":" + some(1, "012345") + some(1, "0123456789") +
			":" + some(1, "012345") + some(1, "0123456789")
		if rng.IntN(2) == 0 {
			text += "." + some(1+rng.IntN(9), "0123456789")
		}
		text += "Z"
		if rng.IntN(8) == 0 {
			i := rng.IntN(len(text))
			text = text[:i] + some(1, "0.-+e:/ 9") + text[i+1:]
		}
		base, begin, end = place(text)
		if v, ok := d.time(base, begin, end); ok {
			times++
			if want, err := record.ParseTime(text, nil); err != nil || v != want {
				t.Fatalf("seed %d: %q is %d, expected %d %v", seed, text, v, want, err)
			}
		}
	}
	if floats < 100_000 || numbers < 10_000 || times < 100_000 {
		t.Errorf("seed %d: only %d doubles, %d numbers and %d timestamps were read", seed, floats, numbers, times)
	}
}

// Goal: doubles read eight at a time are those that shortFloat reads one by one, to the last bit, and reading stops where it stops. Method: columns of random short numbers, with points anywhere or none, broken ones among some
// of them, longer ones among others, as the last column and before it, with CR LF too.
func TestDoubles(t *testing.T) { eachVariant(t, testDoubles) }

func testDoubles(t *testing.T) {
	whole, stopped := 0, 0
	for seed := range testgen.Seeds(5000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		width, end := 2, byte('\n')
		if rng.IntN(2) == 0 {
			width, end = 3, ';'
		}
		bad, long := rng.IntN(3) == 0, rng.IntN(3) == 0
		buf := make([]byte, pad)
		at := []uint32{uint32(len(buf) - 1)}
		rows := 1 + rng.IntN(40)
		for range rows {
			buf = append(buf, 'x')
			at = append(at, uint32(len(buf)))
			buf = append(buf, ';')
			text := strconv.Itoa(rng.IntN(1 << rng.IntN(12)))
			if rng.IntN(3) > 0 {
				text += "." + strconv.Itoa(rng.IntN(1<<rng.IntN(10)))
			}
			if rng.IntN(3) == 0 {
				text = "-" + text
			}
			if text = text[:min(len(text), 7)]; long && rng.IntN(6) == 0 {
				text += []string{"0625", "00001", "123456789", "9007199254740993"[rng.IntN(9):]}[rng.IntN(4)]
			}
			if bad && rng.IntN(20) == 0 {
				text = []string{
					"", "-", ".", "1x", "+5", "1.2.3", "--1", "5.", ".5", "-.5", "-5.", "1e3", " 1", "1.-5",
					"-0", "00", "1-", "..", "-0.0",
				}[rng.IntN(19)]
			}
			buf = append(buf, text...)
			if width == 2 && rng.IntN(20) == 0 {
				buf = append(buf, '\r')
			}
			at = append(at, uint32(len(buf)))
			if bad && rng.IntN(40) == 0 {
				buf = append(buf, ';'+'\n'-end) // a field too many or too few
			} else {
				buf = append(buf, end)
			}
			if width == 3 {
				at = append(at, uint32(len(buf)))
				buf = append(buf, '\n')
			}
		}
		buf = append(buf, make([]byte, pad)...)
		c := columnText{
			base: unsafe.Pointer(&buf[0]), at: at[1:], width: width, end: end,
			codes: []uint64{0, codeBytes}[seed%2],
		}
		values := make([]float64, rows)
		n := c.floats(values)
		want := 0
		for ; want < rows; want++ {
			begin, end, ok := c.field(want)
			if !ok {
				break
			}
			v, ok := shortFloat(c.base, begin, end, c.codes)
			if !ok {
				break
			}
			if want < n && math.Float64bits(v) != math.Float64bits(values[want]) {
				t.Fatalf("seed %d: %q was read as %v, expected %v", seed, buf[begin:end], values[want], v)
			}
		}
		if n != want {
			t.Fatalf("seed %d: stopped at number %d, expected %d of %d: %q", seed, n, want, rows, buf[pad:len(buf)-pad])
		}
		if whole++; n < rows {
			whole--
			stopped++
		}
	}
	if stopped == 0 || whole == 0 {
		t.Fatalf("%d columns were read whole, %d were not", whole, stopped)
	}
}
