package kafka

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/velo-engine/velo/record"
)

// position says how far a Kafka partition has been read: the next offset, the leader epoch of the
// last batch before it, which tells a log that was cut off and written anew, and the id of the
// topic, which tells a topic that was deleted and made again under its name.
type position struct {
	topic  [16]byte
	offset int64
	epoch  int32 // -1 if nothing was read
}

const positionVersion = 1

// append appends the position as bytes.
func (p *position) append(to []byte) []byte {
	to = append(to, positionVersion)
	to = append(to, p.topic[:]...)
	to = binary.AppendUvarint(to, uint64(p.offset))
	return binary.AppendVarint(to, int64(p.epoch))
}

// parsePosition is the inverse of append.
func parsePosition(from []byte) (p position, err error) {
	broken := errors.New("the saved position is damaged, or of another version of velo")
	if len(from) < 1+len(p.topic) || from[0] != positionVersion {
		return p, broken
	}
	from = from[1+copy(p.topic[:], from[1:]):]
	offset, n := binary.Uvarint(from)
	if n <= 0 || int64(offset) < 0 {
		return p, broken
	}
	epoch, m := binary.Varint(from[n:])
	if m <= 0 || n+m != len(from) || int64(int32(epoch)) != epoch {
		return p, broken
	}
	p.offset, p.epoch = int64(offset), int32(epoch)
	return p, nil
}

// describePosition says in words what a position of a Kafka partition means.
func describePosition(p record.Position) string {
	if !strings.HasPrefix(p.Split, "kafka ") {
		return ""
	}
	at, err := parsePosition(p.Offset)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("next is offset %d, topic %s, leader epoch %d", at.offset, idText(at.topic), at.epoch)
}

// splitPrefix begins the names of the splits of a topic; the number of the partition follows.
func splitPrefix(topic string) string { return "kafka " + topic + "/" }

// splitName is the name of the split that a Kafka partition is.
func splitName(topic string, partition int32) string {
	return splitPrefix(topic) + strconv.Itoa(int(partition))
}

// Start says where a partition is begun that has not been read before.
type Start struct {
	kind startKind
	at   int64 // milliseconds since 1970
}

type startKind uint8

const (
	startEarliest startKind = iota + 1
	startLatest
	startTime
)

// Earliest begins with the oldest record that there is, and Latest with the next one that is
// written.
var (
	Earliest = Start{kind: startEarliest}
	Latest   = Start{kind: startLatest}
)

// StartAt begins with the first record that has this time or a later one.
func StartAt(t time.Time) Start { return Start{startTime, t.UnixMilli()} }

// idText is an id of a topic as Kafka's tools print it.
func idText(id [16]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }
