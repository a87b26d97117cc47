package result

import (
	"reflect"
	"testing"
)

// Goal: Words has every counter once, in the order of the fields, and Add adds all of them. Method:
// each field gets a value of its own.
func TestCountersWords(t *testing.T) {
	var c Counters
	v := reflect.ValueOf(&c).Elem()
	if v.NumField() != CounterWords {
		t.Fatalf("%d fields, %d words", v.NumField(), CounterWords)
	}
	for i := range v.NumField() {
		v.Field(i).SetUint(uint64(100 + i))
	}
	sum := c
	sum.Add(c)
	for i, n := range c.Words() {
		if n != uint64(100+i) || sum.Words()[i] != 2*n {
			t.Errorf("field %d is %d in Words, and twice that is %d", i, n, sum.Words()[i])
		}
	}
}
