package main

import "github.com/spf13/cobra"

func newFailCommand() *cobra.Command {
	return &cobra.Command{Use: "fail", RunE: func(*cobra.Command, []string) error { return nil }}
}
