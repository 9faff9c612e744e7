// Package config turns lockstep.toml into one validated Config.
//
// The file has a few settings of its own, a table [defaults] and a table
// [mirror.NAME] for each mirror. A key is documented by the tags of Settings
// and Config; docs/config.md and the file of "lockstep init" are held against
// them. What is not said in [mirror.NAME] is taken from [defaults], what is not
// said there has the built-in value; the lists of filter rules of both add up,
// the mirror's own first.
//
// It refuses unknown keys (naming the nearest known one), relative paths,
// passwords (they are named by file only), two mirrors with one target, and
// mirrors that feed each other. It never looks at sources or targets: whether
// they exist is found out when a mirror starts.
//
// Decode works on bytes from anywhere and bounds what it reads. Values are
// plain data, safe to share as long as nobody writes to them.
package config

import (
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/pelletier/go-toml/v2"

	"lockstep/internal/fs/filter"
	"lockstep/internal/fs/tree"
	"lockstep/internal/live/mirror"
	"lockstep/internal/live/target"
	"lockstep/internal/live/watch"
	"lockstep/internal/rsync/secure"
)

// DefaultFile is read when no other file is named.
const DefaultFile = "/etc/lockstep/lockstep.toml"

// maxFile bounds a configuration, in bytes.
const maxFile = 1 << 20

// Config is a whole configuration.
type Config struct {
	File          string   `toml:"-" json:"file" doc:"the file that was read"`
	Control       string   `toml:"control" json:"control" doc:"the control socket, an absolute path" default:"/run/lockstep/control, or lockstep/control in $XDG_RUNTIME_DIR for an ordinary user"`
	Metrics       string   `toml:"metrics" json:"metrics" doc:"serve /metrics, /healthz and /readyz on this address; a port alone means loopback" default:"not served"`
	Page          string   `toml:"page" json:"page" doc:"serve the page that shows how everything does on this address; a port alone means loopback, unix:PATH a socket" default:"not served"`
	PageTokenFile string   `toml:"page_token_file" json:"page_token_file" doc:"the file whose first line one has to know to see the page; needed, or page_client_ca, unless it is on loopback" default:"everybody who gets there"`
	PageCert      string   `toml:"page_cert" json:"page_cert" doc:"the file with the page's certificate (PEM); the page is then served by TLS" default:"no TLS"`
	PageKey       string   `toml:"page_key" json:"page_key" doc:"the file with its key" default:"none"`
	PageClientCA  string   `toml:"page_client_ca" json:"page_client_ca" doc:"the file with the authority whose certificates may see the page" default:"none is asked for"`
	Mirrors       []Mirror `toml:"-" json:"mirrors" doc:"one object for each mirror, sorted by name"`
}

// Mirror is one mirror: a source, its targets and how they are mirrored.
type Mirror struct {
	Name string `toml:"-" json:"name" doc:"the mirror's name"`
	Settings

	rules   *filter.Rules
	digest  string            // of the files that the rules were read from
	origins map[string]string // where a key's value is from, by key
}

// Settings is what a [mirror.NAME] table may hold. All but source and targets
// may stand in [defaults] too.
type Settings struct {
	Source  string   `toml:"source" json:"source" doc:"the directory whose contents are mirrored, an absolute path" default:"required"`
	Targets []string `toml:"targets" json:"targets" doc:"where they go: DIRECTORY, [USER@]HOST::MODULE[/PATH], rsync[s]://[USER@]HOST[:PORT]/MODULE[/PATH] or [USER@]HOST:PATH" default:"required"`

	Filter      []string `toml:"filter" json:"filter" doc:"rsync filter rules, in order; the first that matches decides"`
	Include     []string `toml:"include" json:"include" doc:"patterns that are not excluded; after filter"`
	IncludeFrom []string `toml:"include_from" json:"include_from" doc:"files of such patterns, absolute paths; after include"`
	Exclude     []string `toml:"exclude" json:"exclude" doc:"patterns to leave alone, here and on targets; after include_from"`
	ExcludeFrom []string `toml:"exclude_from" json:"exclude_from" doc:"files of such patterns, absolute paths; after exclude"`
	CVSExclude  bool     `toml:"cvs_exclude" json:"cvs_exclude" doc:"exclude what CVS would, .git/ too, and read .cvsignore files"`

	Delete    bool `toml:"delete" json:"delete" doc:"remove from targets what is not in the source"`
	MaxDelete any  `toml:"max_delete" json:"max_delete" doc:"wait for an operator rather than remove more entries in one pass, or within ten seconds: a number, or a share of what the target holds such as \"20%\"; -1 is no limit"`

	BackupDir  string `toml:"backup_dir" json:"backup_dir" doc:"keep what is deleted or replaced at the top of the target, in a directory of this name with the day behind it, such as .deleted-2026-01-31; empty keeps nothing"`
	BackupDays int    `toml:"backup_days" json:"backup_days" doc:"remove those directories after so many days; 0 is never"`

	Verify        string `toml:"verify" json:"verify" doc:"compare this mirror in full at this time, as systemd has them: weekly, daily, 'Sun 03:00'; empty is what service install --verify says, never is never; service install makes the timers"`
	VerifyBwLimit string `toml:"verify_bwlimit" json:"verify_bwlimit" doc:"what lockstep verify may read a second, written as bwlimit is; empty is what bwlimit says"`

	PasswordFile  string            `toml:"password_file" json:"password_file" doc:"the file with the password of rsync daemons, an absolute path"`
	PasswordFiles map[string]string `toml:"password_files" json:"password_files" doc:"such a file for single targets: a table from a target as it stands in targets to a file"`
	TLS           bool              `toml:"tls" json:"tls" doc:"speak TLS with all rsync daemons, as with rsyncs://"`
	TLSCA         string            `toml:"tls_ca" json:"tls_ca" doc:"the file with the authorities that are trusted, an absolute path; those of the system if empty"`
	TLSCert       string            `toml:"tls_cert" json:"tls_cert" doc:"the file with the certificate to log in with, an absolute path"`
	TLSKey        string            `toml:"tls_key" json:"tls_key" doc:"the file with its key, an absolute path; tls_cert if empty"`
	TLSName       string            `toml:"tls_name" json:"tls_name" doc:"what certificates must be of; the host if empty"`
	Shell         string            `toml:"shell" json:"shell" doc:"the remote shell's command, ssh if empty"`
	RsyncPath     string            `toml:"rsync_path" json:"rsync_path" doc:"the rsync to run on remote machines, with its options; rsync if empty"`
	Protocol      int               `toml:"protocol" json:"protocol" doc:"the highest rsync protocol to offer, 27 to 32; 0 is the highest"`
	Compress      bool              `toml:"compress" json:"compress" doc:"compress what is sent"`
	BwLimit       any               `toml:"bwlimit" json:"bwlimit" doc:"send at most so much a second to each target: KiB, or with a unit as in 1.5m, empty or 0 is no limit; or by the clock: \"08:00-18:00=10m,1g\", or a list of tables { from, to, rate }, where the first that holds decides"`
	QuietHours    []string          `toml:"quiet_hours" json:"quiet_hours" doc:"parts of the day such as 22:00-06:00 in which nothing is begun; changes are collected"`

	Checksum   bool `toml:"checksum" json:"checksum" doc:"in first passes compare content, not size and time"`
	HardLinks  bool `toml:"hard_links" json:"hard_links" doc:"keep hard links"`
	ACLs       bool `toml:"acls" json:"acls" doc:"keep ACLs"`
	Xattrs     bool `toml:"xattrs" json:"xattrs" doc:"keep extended attributes"`
	NumericIDs bool `toml:"numeric_ids" json:"numeric_ids" doc:"keep uid and gid numbers, not names"`

	Watch        string   `toml:"watch" json:"watch" doc:"how to see changes: auto, fanotify, inotify or poll"`
	PollInterval Duration `toml:"poll_interval" json:"poll_interval" doc:"time between two looks where polling is used"`
	MaxHold      Duration `toml:"max_hold" json:"max_hold" doc:"send a file as it is that stays open for writing longer than this; 0s is never"`
	BatchDelay   Duration `toml:"batch_delay" json:"batch_delay" doc:"wait so long after a change for more; with 0s batches form by themselves"`

	OnBatch       any      `toml:"on_batch" json:"on_batch" doc:"called after a batch has arrived at a target: a list is a program with its arguments, a string the URL of an HTTP server; see operations.md"`
	OnInStep      any      `toml:"on_in_step" json:"on_in_step" doc:"called when everything has arrived at all targets"`
	OnFailing     any      `toml:"on_failing" json:"on_failing" doc:"called when a target fails, and when it works again"`
	HookTimeout   Duration `toml:"hook_timeout" json:"hook_timeout" doc:"how long such a call may take"`
	HookRetries   int      `toml:"hook_retries" json:"hook_retries" doc:"how often one that failed is tried again"`
	HookTokenFile string   `toml:"hook_token_file" json:"hook_token_file" doc:"the file whose first line HTTP servers get as a bearer token, an absolute path"`
}

// builtIn are the values of keys that are said nowhere.
func builtIn() Settings {
	return Settings{BwLimit: "", Delete: true, MaxDelete: int64(-1), BackupDays: 30, Watch: "auto",
		OnBatch: "", OnInStep: "", OnFailing: "", HookTimeout: Duration(30 * time.Second), HookRetries: 3,
		PollInterval: Duration(5 * time.Second), MaxHold: Duration(time.Minute)}
}

// Duration is a time such as "250ms" or "1m30s".
type Duration time.Duration

// UnmarshalText reads a duration of 0 or more.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%s is no time of 0 or more: write it as 5s, 250ms or 2m30s", tree.Quote(string(text)))
	}
	*d = Duration(v)
	return nil
}

// MarshalText is d as UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Load reads and validates the file called name.
func Load(name string) (*Config, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := readBounded(f, maxFile)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tree.Quote(name), err)
	}
	c, err := Decode(data, ReadRules)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tree.Quote(name), err)
	}
	c.File = name
	return c, nil
}

// Find is the mirror called name, nil if there is none.
func (c *Config) Find(name string) *Mirror {
	for i := range c.Mirrors {
		if c.Mirrors[i].Name == name {
			return &c.Mirrors[i]
		}
	}
	return nil
}

// Same reports whether m and o ask for the same, the contents of their rule
// files included. When they are compared, and how fast, is no business of a
// mirror that runs.
func (m *Mirror) Same(o *Mirror) bool {
	live := func(s Settings) Settings {
		s.Verify, s.VerifyBwLimit = "", ""
		return s
	}
	return m.Name == o.Name && m.digest == o.digest && reflect.DeepEqual(live(m.Settings), live(o.Settings))
}

// Origin says where a key's value is from: "mirror", "defaults", "both" for
// lists that add up, or "built in".
func (m *Mirror) Origin(key string) string {
	if at := m.origins[key]; at != "" {
		return at
	}
	return "built in"
}

// Live is m as the live mirror takes it, without a listener.
func (m *Mirror) Live() (mirror.Config, error) {
	backend, err := watch.ParseBackend(m.Watch)
	if err != nil {
		return mirror.Config{}, err
	}
	rates, err := m.rates()
	if err != nil {
		return mirror.Config{}, err
	}
	limit, err := m.maxDelete()
	if err != nil {
		return mirror.Config{}, err
	}
	quiet, err := ParseWindows(m.QuietHours)
	if err != nil {
		return mirror.Config{}, err
	}
	return mirror.Config{
		Source: m.Source, Targets: m.Targets, NoDelete: !m.Delete, MaxDelete: limit, Rules: m.rules,
		Backups:      target.Backups{Dir: m.BackupDir, Days: m.BackupDays},
		PasswordFile: m.PasswordFile, PasswordFiles: m.PasswordFiles, Shell: m.Shell, RsyncPath: m.RsyncPath,
		TLS: m.TLS, TLSFiles: secure.Client{CA: m.TLSCA, Cert: m.TLSCert, Key: m.TLSKey, Name: m.TLSName},
		Protocol: m.Protocol, Compress: m.Compress, BwLimit: rates, Quiet: quiet, Checksum: m.Checksum, HardLinks: m.HardLinks,
		ACLs: m.ACLs, Xattrs: m.Xattrs, NumericIDs: m.NumericIDs, Watch: backend,
		PollInterval: time.Duration(m.PollInterval), MaxHold: time.Duration(m.MaxHold), BatchDelay: time.Duration(m.BatchDelay),
	}, nil
}

// ControlOf is the control socket that the file called name sets, "" if it sets
// none or cannot be read. Nothing else of it has to be right.
func ControlOf(name string) string {
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := readBounded(f, maxFile)
	if err != nil {
		return ""
	}
	var c struct {
		Control string `toml:"control"`
	}
	if toml.Unmarshal(data, &c) != nil {
		return ""
	}
	return c.Control
}
