// Command subscriber prints the fires of the NATS route "turns" of db "games".
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	nc, err := nats.Connect("nats://127.0.0.1:4222")
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	turns, err := js.Consumer(ctx, "FIRES", "games_turns")
	if err != nil {
		log.Fatal(err)
	}
	consuming, err := turns.Consume(func(m jetstream.Msg) {
		fmt.Printf("%s: %s\n", m.Headers().Get("Belfry-Job-Id"), m.Data())
		if err := m.Ack(); err != nil {
			log.Print(err) // it will come again
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	defer consuming.Stop()
	<-ctx.Done()
}
