//go:build !linux

package main

import "os"

// ownStderr returns the file to write the log to. Here a panic may wait for whoever
// reads it.
func ownStderr() *os.File { return os.Stderr }
