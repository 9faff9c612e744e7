package lockstep_test

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxReadmeLines bounds what a newcomer has to read first.
const maxReadmeLines = 150

// documents lists the Markdown files by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			texts[filepath.ToSlash(name)] = string(text)
		}
	}
	return texts
}

var (
	linkTarget = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	pathLike   = regexp.MustCompile(`^\.{0,2}/?[\w.-]+(/[\w.*-]+)*/?$`)
)

// namedPaths finds the paths of this project that a document names: targets of
// links, and code spans that begin with one of its top directories.
func namedPaths(doc, text string) []string {
	var paths []string
	for _, m := range linkTarget.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target != "" && !strings.Contains(target, "://") {
			paths = append(paths, path.Join(path.Dir(doc), target))
		}
	}
	tops := []string{"cmd", "internal", "docs", ".ci"}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		word := strings.TrimPrefix(m[1], "./")
		top, _, _ := strings.Cut(word, "/")
		if pathLike.MatchString(word) && slices.Contains(tops, top) {
			paths = append(paths, path.Clean(word))
		}
	}
	return paths
}

func TestDocumentsNameOnlyPathsThatExist(t *testing.T) {
	named := 0
	for doc, text := range documents(t) {
		for _, p := range namedPaths(doc, text) {
			named++
			found, err := filepath.Glob(filepath.FromSlash(p))
			if err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which does not exist", doc, p)
			}
		}
	}
	if named == 0 {
		t.Error("no document names any path: the search is broken")
	}
}

func TestReadmeStaysShort(t *testing.T) {
	if n := strings.Count(documents(t)["README.md"], "\n"); n == 0 || n > maxReadmeLines {
		t.Errorf("README.md has %d lines, want 1 to %d", n, maxReadmeLines)
	}
}

func TestDocumentsThatANewcomerGets(t *testing.T) {
	for _, name := range []string{
		"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/output.md", "docs/divergence.md", "docs/performance.md",
		"docs/config.md", "docs/control.md", "docs/metrics.md", "docs/operations.md", "docs/daemon.md",
	} {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestArchitectureListsTheHouse holds the list of rooms against the packages
// that exist.
func TestArchitectureListsTheHouse(t *testing.T) {
	text := documents(t)["ARCHITECTURE.md"]
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if pkg := s.pkg(); pkg != "." && !seen[pkg] && !s.isTest() {
			seen[pkg] = true
			if !strings.Contains(text, pkg) {
				t.Errorf("ARCHITECTURE.md does not mention %s", pkg)
			}
		}
	}
}
