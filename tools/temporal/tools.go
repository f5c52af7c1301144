//go:build tools

// Package tools pins the Temporal CLI; see go.mod.
package tools

import _ "github.com/temporalio/cli/cmd/temporal"
