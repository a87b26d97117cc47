package readers

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/velo-engine/velo/record"
)

var messageSchema = func() *record.Schema {
	s, err := record.NewSchema("m",
		record.Field{Name: "k", Type: record.Int64, Nullable: true},
		record.Field{Name: "s", Type: record.String, Nullable: true},
		record.Field{Name: "v", Type: record.Float64},
	)
	if err != nil {
		panic(err)
	}
	return s
}()

// messageOutcomes says what has become of each message: its row, or that it was rejected.
func messageOutcomes(t *testing.T, m *Messages, messages []string, capacity int) (all []string) {
	t.Helper()
	for _, text := range messages {
		m.Add([]byte(text))
	}
	b := record.NewBatch(messageSchema, capacity)
	for m.Len() > 0 {
		b.Reset()
		taken := m.Parse(b)
		if taken == 0 || b.Len()+len(b.Rejects()) != taken {
			t.Fatalf("%d messages taken, %d rows, %d rejects", taken, b.Len(), len(b.Rejects()))
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		row, rejects := 0, b.Rejects()
		for i := range taken {
			if len(rejects) > 0 && rejects[0].Offset == int64(i) {
				all = append(all, fmt.Sprintf("rejected %q", rejects[0].Bytes))
				rejects = rejects[1:]
				continue
			}
			text := ""
			for c := range messageSchema.Len() {
				col := b.Column(c)
				switch {
				case col.Null(row):
					text += "NULL|"
				case col.Views != nil:
					text += string(col.View(row)) + "|"
				case col.Float64s != nil:
					text += fmt.Sprint(col.Float64s[row], "|")
				default:
					text += fmt.Sprint(col.Int64s[row], "|")
				}
			}
			all = append(all, text)
			row++
		}
	}
	return all
}

func newMessages(t *testing.T, format string) *Messages {
	t.Helper()
	var m *Messages
	var err error
	if format == "json" {
		m, err = NewNDJSONMessages(NDJSONConfig{Schema: messageSchema, MaxRecordBytes: 200})
	} else {
		m, err = NewDelimitedMessages(DelimitedConfig{Schema: messageSchema, Quote: '"', MaxRecordBytes: 200})
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Goal: each message is one row or one reject, whatever is in it.
func TestMessages(t *testing.T) {
	for _, c := range []struct{ format, message, want string }{
		{"json", `{"k":1,"s":"a","v":2}`, "1|a|2|"},
		{"json", "{\n  \"k\": 1,\n  \"s\": \"a\\nb\",\n  \"v\": 2\n}\n", "1|a\nb|2|"},
		{"json", "{\"s\":\"a\nb\",\"v\":2}", "rejected"},
		{"json", `{"k":1}`, "rejected"},
		{"json", "", "rejected"},
		{"json", " \n ", "rejected"},
		{"json", "{\"v\":1}\n{\"v\":2}", "rejected"},
		{"json", "\ufeff{\"v\":1}", "rejected"},
		{"json", `{"v":1,"s":"` + strings.Repeat("x", 300) + `"}`, "rejected"},
		{"csv", "1,a,2", "1|a|2|"},
		{"csv", "1,a,2\r\n", "1|a|2|"},
		{"csv", "1,\"a\nb\",2", "1|a\nb|2|"},
		{"csv", "1,\"a\"\"b\",2", "1|a\"b|2|"},
		{"csv", "1,a,2\n3,b,4", "rejected"},
		{"csv", "1,\"a,2", "rejected"},
		{"csv", "", "rejected"},
		{"csv", "\r", "rejected"},
		{"csv", "1,2", "rejected"},
		{"csv", "x,a,2", "rejected"},
		{"csv", "1," + strings.Repeat("x", 300) + ",2", "rejected"},
	} {
		good := map[string]string{"json": `{"k":7,"s":"g","v":8}`, "csv": "7,g,8"}[c.format]
		// The message stands alone, and between others, which it must not touch.
		for _, messages := range [][]string{{c.message}, {good, c.message, good}, {c.message, c.message, good}} {
			m := newMessages(t, c.format)
			for range 2 { // again, with the memory of before
				got := messageOutcomes(t, m, messages, 0)
				for i, text := range messages {
					want := c.want
					if text == good {
						want = "7|g|8|"
					}
					if len(got) != len(messages) || !strings.HasPrefix(got[i], want) {
						t.Errorf("%s %q: message %d is %v, expected %s", c.format, messages, i, got, want)
						break
					}
				}
			}
		}
	}
}

// Goal: many messages together become what each of them becomes alone. Method: random messages, good
// and bad, in batches of several sizes; a parser that gets them one by one is the twin.
func TestMessagesTwin(t *testing.T) {
	pieces := map[string][]string{
		"json": {
			`{"k":1,"s":"a","v":2}`, `{"v":2.5,"k":-3}`, "{\n\"v\":1e3}", `{"s":"x\ny","v":1}`, `{"k":"1","v":1}`, "", "x",
			"{\"s\":\"\n\",\"v\":1}", `{"v":1,"other":{"a":[1,2]}}`, "\n", `{"k":null,"v":1}`, `{"v":1}{}`,
		},
		"csv": {
			"1,a,2", "2,,3.5", ",b,1", "\"1\",\"b\",\"2\"", "1,\"x\ny\",2", "1,a\n,2", "1,\"a", "", "\"", "1,2,3,4", "1,a,2,", "a\"b,c,1",
		},
	}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		for format, texts := range pieces {
			var messages []string
			bad := random.IntN(3) // none, some, many
			for range 1 + random.IntN(400) {
				if random.IntN(3) < bad {
					messages = append(messages, texts[random.IntN(len(texts))])
				} else {
					messages = append(messages, texts[random.IntN(2)])
				}
			}
			together, alone := newMessages(t, format), newMessages(t, format)
			got := messageOutcomes(t, together, messages, []int{1, 7, 2048}[random.IntN(3)])
			for i, text := range messages {
				want := messageOutcomes(t, alone, []string{text}, 1)
				if got[i] != want[0] {
					t.Fatalf("seed %d, %s: %q is %s, and alone %s", seed, format, text, got[i], want[0])
				}
			}
		}
	}
}

// Goal: messages cost no allocation once there is memory for them.
func TestMessagesAllocate(t *testing.T) {
	m := newMessages(t, "json")
	text := []byte(`{"k":1,"s":"a","v":2}`)
	b := record.NewBatch(messageSchema, 0)
	work := func() {
		for range 1000 {
			m.Add(text)
		}
		for m.Len() > 0 {
			b.Reset()
			m.Parse(b)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n > 2 {
		t.Errorf("%v allocations for 1,000 messages", n)
	}
}

// Goal: what has no meaning for messages is refused.
func TestMessagesRefused(t *testing.T) {
	for _, cfg := range []DelimitedConfig{{Header: true}, {SkipLines: 1}, {Comment: '#'}, {Quote: ','}} {
		cfg.Schema = messageSchema
		if _, err := NewDelimitedMessages(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
	if _, err := NewNDJSONMessages(NDJSONConfig{}); err == nil {
		t.Error("no schema is accepted")
	}
}
