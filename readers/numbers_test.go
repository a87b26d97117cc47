package readers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/velo-engine/velo/internal/testgen"

	"github.com/velo-engine/velo/record"
)

// eachVariant runs a test with everything this processor can do, with AVX2 alone, and without vectors.
func eachVariant(t *testing.T, test func(t *testing.T)) {
	was512, wasAVX2, wasVBMI2 := have512, haveAVX2, haveVBMI2
	defer func() { have512, haveAVX2, haveVBMI2 = was512, wasAVX2, wasVBMI2 }()
	for _, v := range []struct {
		name         string
		avx512, avx2 bool
	}{{"go", false, false}, {"avx2", false, true}, {"avx512", true, true}} {
		t.Run("vectors="+v.name, func(t *testing.T) {
			if v.avx512 && !was512 || v.avx2 && !wasAVX2 {
				t.Skip("this processor, or this build, does not have them")
			}
			have512, haveAVX2, haveVBMI2 = v.avx512, v.avx2, v.avx512 && wasVBMI2
			test(t)
		})
	}
}

// Goal: short numbers are what the slow reader says they are, and reading stops at the first that is not in its usual form, whichever it
// is. Method: columns of random numbers, right ones mostly, of every scale.
func TestShortNumbers(t *testing.T) { eachVariant(t, testShortNumbers) }

func testShortNumbers(t *testing.T) {
	stopped, whole := 0, 0
	for seed := range testgen.Seeds(3000) {
		rng := rand.New(rand.NewPCG(seed, 4))
		typ := record.Int64
		if rng.IntN(3) > 0 {
			precision := 1 + rng.IntN(18)
			typ = record.DecimalOf(precision, rng.IntN(min(precision, 8)+1))
		}
		s, err := record.NewSchema("s", record.Field{Name: "x", Type: record.String},
			record.Field{Name: "n", Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		o := ValueOptions{NoCodes: rng.IntN(2) == 0}
		f := &compileFields(s, 0, &o)[1]
		last := rng.IntN(2) == 0 // the number is the last column, or the one before
		width, end := 2, byte('\n')
		if !last {
			width, end = 3, ';'
		}
		buf := make([]byte, pad)
		at := []uint32{uint32(len(buf) - 1)}
		var texts []string
		bad := rng.IntN(3) == 0
		for range 1 + rng.IntN(40) {
			buf = append(buf, 'x')
			at = append(at, uint32(len(buf)))
			buf = append(buf, ';')
			text := ""
			if rng.IntN(2) == 0 {
				text = "-"
			}
			if text += strconv.Itoa(rng.IntN(1 << rng.IntN(12))); rng.IntN(20) == 0 && bad {
				text = strings.Replace("0"+text, "0-", "-0", 1) // a code
			}
			if typ.Scale() > 0 {
				text += "." + fmt.Sprintf("%0*d", typ.Scale(), rng.IntN(int(record.Pow10[min(typ.Scale(), 6)])))
			}
			if bad && rng.IntN(20) == 0 {
				text = []string{
					"", "-", ".", "1x", "+5", "12345678", "123456789", "1.5", "--1", "5.", ".5", "1e3",
					"0x1", " 1",
				}[rng.IntN(14)]
			}
			texts = append(texts, text)
			buf = append(buf, text...)
			at = append(at, uint32(len(buf)))
			if bad && rng.IntN(40) == 0 {
				buf = append(buf, ';'+'\n'-end) // a field too many or too few
			} else {
				buf = append(buf, end)
			}
			if !last {
				at = append(at, uint32(len(buf)))
				buf = append(buf, '\n')
			}
		}
		buf = append(buf, make([]byte, pad)...)
		c := columnText{base: unsafe.Pointer(&buf[0]), at: at[1:], width: width, end: end, codes: f.codes}
		values := make([]int64, len(texts))
		n := c.shortNumbers(f, values)
		if whole++; n < len(texts) {
			whole--
			stopped++
		}
		for i, text := range texts[:n] {
			want, _, err := f.value([]byte(text))
			if err != nil || values[i] != want || buf[c.at[i*width+1]] != end {
				t.Fatalf("seed %d, %v: %q was read as %d, expected %d, %v", seed, typ, text, values[i], want, err)
			}
		}
		// It stops only where it must: at what is not in the usual form.
		if n < len(texts) && texts[n] != "" {
			text := texts[n]
			_, _, err := f.value([]byte(text))
			usual := err == nil && len(text) <= 8 && typ.Scale() <= 6 && buf[c.at[n*width+1]] == end &&
				text[0] != '+' &&
				(typ.Scale() == 0 && !slices.Contains([]byte(text), '.') || typ.Scale() > 0 && len(text) > typ.Scale()+
					1 && text[len(text)-typ.Scale()-1] == '.')
			if usual {
				t.Fatalf("seed %d, %v: stopped at %q, number %d", seed, typ, text, n)
			}
		}
	}
	if stopped == 0 || whole == 0 {
		t.Fatalf("%d columns were read whole, %d were not", whole, stopped)
	}
}
