package lockstep_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"lockstep/internal/cli/lockstep"
)

// tableRows are the cells of every table row in a section of docs/output.md.
func tableRows(t *testing.T, section string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/output.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/output.md has no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var rows [][]string
	for line := range strings.Lines(rest) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") {
			continue
		}
		var cells []string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), " | ") {
			cells = append(cells, strings.TrimSpace(cell))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 1 {
		t.Fatalf("docs/output.md: section %q has no table", section)
	}
	return rows[1:]
}

// agree holds a table of the documents against a table of the code, given as
// rows joined to one string each.
func agree(t *testing.T, documented, coded []string) {
	t.Helper()
	in := func(list []string, row string) bool {
		for _, r := range list {
			if r == row {
				return true
			}
		}
		return false
	}
	for _, row := range coded {
		if !in(documented, row) {
			t.Errorf("docs/output.md lacks the row\n| %s |", row)
		}
	}
	for _, row := range documented {
		if !in(coded, row) {
			t.Errorf("docs/output.md has a row that is not true\n| %s |", row)
		}
	}
}

func joined(rows [][]string) []string {
	var all []string
	for _, cells := range rows {
		all = append(all, strings.Join(cells, " | "))
	}
	return all
}

func TestTheExitCodesAreDocumented(t *testing.T) {
	var coded []string
	for code, meaning := range lockstep.ExitCodes() {
		coded = append(coded, strconv.Itoa(code)+" | "+meaning)
	}
	agree(t, joined(tableRows(t, "Exit codes")), coded)
}

func TestTheJSONKeysAreDocumented(t *testing.T) {
	var coded []string
	for key, meaning := range lockstep.JSONKeys() {
		if meaning == "" {
			t.Errorf("%s of %s has no meaning", key[1], key[0])
		}
		coded = append(coded, fmt.Sprintf("`%s` | `%s` | %s", key[0], key[1], meaning))
	}
	agree(t, joined(tableRows(t, "JSON lines")), coded)
}

func TestTheConversionsAreDocumented(t *testing.T) {
	var coded []string
	for conversion, meaning := range lockstep.Conversions() {
		coded = append(coded, "`"+conversion+"` | "+meaning)
	}
	agree(t, joined(tableRows(t, "The log of changes")), coded)
}
