package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kitmesh/kitmesh/infra/runner"
)

func newScaleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scale SERVICE N",
		Short: "Set how many instances a service has",
		Long: `Start or end instances of a service until it has N, 0 to 50. Those that go are the ones
with the highest numbers; they deregister and finish what they have begun.`,
		Example: "  kitmesh scale pricing 5",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			service := args[0]
			if !slices.Contains(runner.Services, service) {
				return usageErrorf("%q is not a service; there are %s", service, strings.Join(runner.Services, ", "))
			}
			n, err := strconv.Atoi(args[1])
			if err != nil || n < 0 || n > 50 {
				return usageErrorf("N is 0 to 50, not %q", args[1])
			}
			fleet, err := openFleet(cmd)
			if err != nil {
				return err
			}
			if err := fleet.Scale(cmd.Context(), service, n); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s has %d instances now\n", service, n)
			return err
		},
	}
}
