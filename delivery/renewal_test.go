package delivery_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/delivery"
)

// The connections of a route are renewed while tries are under way, as when one of them
// was closed by the receiver. No answer of the others is lost.
func TestRenewalLosesNoAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := delivery.SendBesideRenewal(req); err != nil {
		t.Errorf("an answered request fails: %v", err)
	}
}
