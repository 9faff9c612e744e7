package lockstep

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker (Makefile); empty in other builds.
var version string

// versionText names this build: the version, else the commit, else "devel".
func versionText() string {
	name, commit := version, ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return fmt.Sprintf("lockstep %s (%s, %s/%s)", cmp.Or(name, commit, "devel"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version and what this build speaks",
		Example: "  lockstep version",
		Args:    a.noArgs,
		RunE: func(*cobra.Command, []string) error {
			a.console.printf("%s", versionText())
			a.console.printf("rsync protocol 27 to 32; kernel events by fanotify and inotify, and polling")
			return nil
		},
	}
}

func (a *app) completion() *cobra.Command {
	write := map[string]func(*cobra.Command) error{
		"bash": func(c *cobra.Command) error { return c.GenBashCompletionV2(c.OutOrStdout(), true) },
		"zsh":  func(c *cobra.Command) error { return c.GenZshCompletion(c.OutOrStdout()) },
		"fish": func(c *cobra.Command) error { return c.GenFishCompletion(c.OutOrStdout(), true) },
	}
	shells := []string{"bash", "zsh", "fish"}
	return &cobra.Command{
		Use:   "completion {bash|zsh|fish}",
		Short: "Print a script that completes lockstep's words in a shell",
		Example: `  source <(lockstep completion bash)
  lockstep completion zsh > "${fpath[1]}/_lockstep"
  lockstep completion fish > ~/.config/fish/completions/lockstep.fish`,
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) != 1 || write[words[0]] == nil {
				return usageError{hintedError{fmt.Errorf("completion: want one of bash, zsh, fish"), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, words []string) error { return write[words[0]](cmd.Root()) },
	}
}
