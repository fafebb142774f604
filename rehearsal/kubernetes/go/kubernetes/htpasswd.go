package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
)

// newHtpasswdCommand writes what the registry knows its user by: bcrypt, which Python's
// standard library lacks.
func newHtpasswdCommand() *cobra.Command {
	return &cobra.Command{
		Use:          "htpasswd USERNAME",
		Short:        "Reads a password from standard input, writes a line of an htpasswd file",
		Args:         cobra.ExactArgs(1),
		SilenceUsage: true,
		RunE: func(command *cobra.Command, args []string) error {
			password, err := io.ReadAll(command.InOrStdin())
			if err != nil {
				return err
			}
			hash, err := bcrypt.GenerateFromPassword(
				[]byte(strings.TrimRight(string(password), "\n")), bcrypt.MinCost)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(command.OutOrStdout(), "%s:%s\n", args[0], hash)
			return err
		},
	}
}
