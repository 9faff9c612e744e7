package option_test

import (
	"slices"
	"strings"
	"testing"

	"lockstep/internal/rsync/option"
)

const aliasFile = `# comment
rsync alias -t -t@-1
rsync alias --zap --delete --force "--suffix=a b" -r
rsync alias -Q -vvi
rsync   alias --two --one
rsync alias --one -u
other alias -k -L
rsync alias --with --max-size
rsync exec -j foo
rsync alias -G --exclude 'x y' --suffix=q\ w
rsync alias --loop --pool
rsync alias --pool --loop
rsync alias
`

func TestAliasesStandForTheirWords(t *testing.T) {
	aliases := option.ParseAliases(aliasFile, "rsync")
	for words, want := range map[string]string{
		"-t":        "-te.LsfxCIvu|-@-1",
		"-rtv":      "-vtre.iLsfxCIvu|-@-1",
		"--times":   "-te.LsfxCIvu",
		"--zap":     `-re.iLsfxCIvu|--suffix=a\ b|--delete|--force`,
		"-Qr":       "-vvre.iLsfxCIvu|--log-format=%i",
		"--two":     "-ue.LsfxCIvu",
		"--with=5":  "-e.LsfxCIvu|--max-size=5",
		"--with 5":  "-e.LsfxCIvu|--max-size=5",
		"-k":        "-e.LsfxCIvu",
		"-G":        `-e.LsfxCIvu|--suffix=q\ w`,
		"-tt -t -r": "-tre.iLsfxCIvu|-@-1",
	} {
		set, err := option.Parse(option.Input{Words: append(strings.Fields(words), "a", "h:b"), Aliases: aliases})
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		if got := set.ServerArgs(32, false); !slices.Equal(got, append([]string{"--server"}, strings.Split(want, "|")...)) {
			t.Errorf("%s: got %q, want %s", words, got, want)
		}
	}
	_, err := option.Parse(option.Input{Words: []string{"--loop", "a", "b"}, Aliases: aliases})
	if err == nil || err.Error() != "rsync: --loop: unknown option" {
		t.Errorf("a loop: %v", err)
	}
}
