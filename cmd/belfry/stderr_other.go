//go:build !linux

package main

import "os"

// ownStderr returns the file to write the log to. Here a panic may wait for its reader.
func ownStderr() *os.File { return os.Stderr }
