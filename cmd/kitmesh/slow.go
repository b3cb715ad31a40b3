package main

import "github.com/spf13/cobra"

func newSlowCommand() *cobra.Command {
	return &cobra.Command{Use: "slow", RunE: func(*cobra.Command, []string) error { return nil }}
}
