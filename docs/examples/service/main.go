// Command service makes a job through Belfry's NATS service.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	nc, err := nats.Connect(os.Getenv("NATS_URL")) // empty is nats://127.0.0.1:4222
	if err != nil {
		log.Fatal(err)
	}
	job := fmt.Sprintf(`{"id":"turn-2","trigger_time":%d,"meta":{"player":"black"},"route":"turns"}`, time.Now().Add(time.Hour).UnixMilli())
	answer, err := nc.Request("belfry.job.create.games.matches", []byte(job), 5*time.Second)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(answer.Data)) // {"status":"ok"}, or {"error":…,"code":…}
}
