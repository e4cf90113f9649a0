package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"belfry/internal/command"
	"belfry/internal/job"
)

// receiveLimit bounds what is printed of one webhook.
const receiveLimit = 1 << 20

// receive prints the webhooks that arrive at addr until ctx ends, and answers each with
// 200. With a secret, it answers webhooks that the secret has not signed with 401, and
// does not print them. It is for trying things out, and listens on loopback only. It
// leaves out what a terminal would obey: anybody on this machine can send it.
func receive(ctx context.Context, addr, secret string, stdout io.Writer) error {
	verify, err := verifier(secret)
	if err != nil {
		return err
	}
	if err := checkLoopback(ctx, addr); err != nil {
		return fmt.Errorf("--listen %q: %w", addr, err)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("couldn't listen for webhooks (--listen): %w", err)
	}
	if _, err := fmt.Fprintf(stdout, "waiting for webhooks at http://%s\n", listener.Addr()); err != nil {
		return err
	}
	srv := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, receiveLimit))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			if err := verify(body, r.Header); err != nil {
				fmt.Fprintf(stdout, "\nrefused: %s\n", command.Printable(err.Error()))
				http.Error(w, err.Error(), http.StatusUnauthorized)
				return
			}
			io.WriteString(stdout, command.Printable(webhookText(r, body))) // at best effort
		}),
	}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// verifier returns a function that judges a webhook's signature; without a secret all
// are good.
func verifier(secret string) (func(body []byte, h http.Header) error, error) {
	if secret == "" {
		return func([]byte, http.Header) error { return nil }, nil
	}
	if err := job.CheckSecret(secret); err != nil || !strings.HasPrefix(secret, job.SymmetricPrefix) {
		return nil, errors.New(`--secret: "whsec_" and the base64 of 24 to 64 bytes is accepted`)
	}
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		return nil, errors.New("--secret: it cannot be used")
	}
	return wh.Verify, nil
}

// webhookText formats a webhook for people: the request, the headers that Belfry sends,
// sorted, and the body.
func webhookText(r *http.Request, body []byte) string {
	var lines []string
	for name, values := range r.Header {
		if strings.HasPrefix(name, "Belfry-") || strings.HasPrefix(name, "Webhook-") {
			lines = append(lines, name+": "+strings.Join(values, ", "))
		}
	}
	slices.Sort(lines)
	return fmt.Sprintf("\n%s %s at %d\n%s\n\n%s\n", r.Method, r.URL.RequestURI(), time.Now().UnixMilli(), strings.Join(lines, "\n"), body)
}
