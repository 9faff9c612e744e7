package lockstep

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"lockstep/internal/fs/tree"
	"lockstep/internal/ops/importer"
)

// importers are the configurations that can be imported.
var importers = map[string]func([]byte) (*importer.Result, error){"lsyncd": importer.Lsyncd, "sersync": importer.Sersync}

func (a *app) importConfig() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "import {lsyncd|sersync} [flags] FILE",
		Short: "Translate a configuration of lsyncd or sersync",
		Long: `Every setting is reported on standard error, with its line: mapped, dropped
(without a meaning here), warning, or refused, if something else would be copied
or deleted. If anything is refused nothing is written and the exit code is 1.
Nothing in FILE is executed.`,
		Example: "  lockstep import lsyncd /etc/lsyncd/lsyncd.conf.lua\n  lockstep import sersync -o lockstep.toml confxml.xml",
		Args: func(cmd *cobra.Command, words []string) error {
			if len(words) != 2 || importers[words[0]] == nil {
				return usageError{hintedError{errors.New("import: want lsyncd or sersync, and a FILE"), cmd.CommandPath() + " --help"}}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, words []string) error { return a.runImport(words[0], words[1], output) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the configuration to `FILE`, which must not exist (default standard output)")
	return cmd
}

func (a *app) runImport(kind, file, output string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return usageError{err}
	}
	r, err := importers[kind](data)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", tree.Quote(file), err)}
	}
	for _, n := range r.Notes {
		say := a.console.notef
		switch n.Verdict {
		case importer.Refused:
			say = a.console.errorf
		case importer.Warned:
			say = a.console.warnf
		}
		say("%s", plain(n.String()))
	}
	if r.Refused() {
		return usageError{errors.New("nothing was imported: see what was refused")}
	}
	text, err := r.Text()
	if err != nil {
		return usageError{err}
	}
	if output == "" {
		a.console.write(a.console.out, text[:len(text)-1])
		return a.console.failure()
	}
	f, err := os.OpenFile(output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("%s is there already", tree.Quote(output))}
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// notef writes a line beside the output that calls for nothing.
func (c *console) notef(format string, args ...any) {
	c.write(c.err, "lockstep: "+fmt.Sprintf(format, args...))
}
