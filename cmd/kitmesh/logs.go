package main

import "github.com/spf13/cobra"

func newLogsCommand() *cobra.Command {
	return &cobra.Command{Use: "logs", RunE: func(*cobra.Command, []string) error { return nil }}
}
