// Package enum names the values of types that count from 0.
package enum

import "fmt"

// Name is the name of a value: names[v], or what with the number if there is no such name.
func Name[T ~uint8 | ~uint32](names []string, v T, what string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", what, uint32(v))
}
