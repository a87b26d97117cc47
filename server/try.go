package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/velo-engine/velo/server/try"
)

// try runs the queries of a job over records that somebody has pasted. It takes the place of a
// statement, because it needs as much.
func (s *Server) try(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	var q struct {
		Text    string `json:"text"`
		Source  string `json:"source"`
		Records string `json:"records"`
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return &Error{
			Status: http.StatusBadRequest, Code: "body", Message: "the body: " + err.Error(),
			Hint: `{"text": "CREATE SOURCE ...", "source": "name", "records": "{...}\n{...}"}`,
		}
	}
	giveBack, err := take(s.queries, "queries")
	if err != nil {
		return err
	}
	defer giveBack()
	result, err := try.Run(r.Context(), nil, q.Text, q.Source, []byte(q.Records))
	if errors.Is(err, try.ErrInput) {
		return &Error{Status: http.StatusBadRequest, Code: "try", Message: err.Error()}
	}
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, result)
}
