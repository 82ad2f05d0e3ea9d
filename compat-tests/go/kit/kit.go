// Package kit holds what both clients' suites need: the broker's address, fresh names, and waiting with a bound.
package kit

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"
)

// Bootstrap is the broker's address, host:port.
func Bootstrap() string {
	if given := os.Getenv("OTTLA_BOOTSTRAP"); given != "" {
		return given
	}
	return "127.0.0.1:9092"
}

// Unique returns a name that no earlier run used, so that a run needs no clean broker.
func Unique(prefix string) string {
	suffix := make([]byte, 6)
	if _, err := rand.Read(suffix); err != nil {
		panic(err)
	}
	return prefix + "-" + hex.EncodeToString(suffix)
}

// Await fails the test unless the condition holds within the limit.
func Await(t *testing.T, what string, limit time.Duration, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// OK ends the test on an error.
func OK(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
