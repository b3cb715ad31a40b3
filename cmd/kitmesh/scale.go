package main

import "github.com/spf13/cobra"

func newScaleCommand() *cobra.Command {
	return &cobra.Command{Use: "scale", RunE: func(*cobra.Command, []string) error { return nil }}
}
