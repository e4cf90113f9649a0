package main

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"belfry/api/client"
)

// A restore that is refused, for its token or since there is something already,
// says so however long the file is.
func TestRefusedRestoreOfALongFile(t *testing.T) {
	t.Parallel()
	s := startServer(t, freePorts(t))
	if status, body := call(t, s, http.MethodPost, "/route/db", `{"id":"r","type":"NATS"}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	c, err := client.New("http://"+s.Addr(), "")
	if err != nil {
		t.Fatal(err)
	}
	const header = `{"format":"belfry-backup","version":1,"id":"long","made_at":1,"belfry":"dev"}` + "\n"
	for range 20 {
		_, err := c.Upload(t.Context(), "/restore", io.MultiReader(strings.NewReader(header), endless{}))
		var refused *client.Error
		if !errors.As(err, &refused) || refused.Code != "E141" {
			t.Errorf("a long file is refused with %v, want E141", err)
		}
	}
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
