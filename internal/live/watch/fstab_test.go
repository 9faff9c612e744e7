package watch

import (
	"slices"
	"strings"
	"testing"
)

func TestFstabPointsAreTheAbsoluteOnes(t *testing.T) {
	const table = "# a comment with several words\n\nUUID=1 / ext4 defaults 0 1\n" +
		"tmpfs\t/srv/a\\040b  tmpfs\nUUID=2 none swap sw\n/dev/x relative ext4\n/dev/y /too-few\n/dev/z /srv/c\\134d xfs ro"
	want := []string{"/", "/srv/a b", `/srv/c\d`}
	if got := fstabPoints(strings.NewReader(table)); !slices.Equal(got, want) {
		t.Errorf("points %q, want %q", got, want)
	}
}
