package proof_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lockstep/internal/proof/harness"
)

// The variables with which the screenshots of the documents are taken:
//
//	LOCKSTEP_PAGE_SHOTS  a directory for page.png, page-dark.png, page-narrow.png
//	LOCKSTEP_PAGE_ROOT   where sources and copies lie, for names that are worth showing
const (
	shotsVar = "LOCKSTEP_PAGE_SHOTS"
	rootVar  = "LOCKSTEP_PAGE_ROOT"
)

// pageWorld is lockstep with a page: a source with two targets that work and
// one that nobody serves, and a source of pictures with one.
type pageWorld struct {
	dir, config, url string
	daemon           *harness.Daemon
	run              *exec.Cmd
}

func newPageWorld(t *testing.T) *pageWorld {
	w := &pageWorld{dir: os.Getenv(rootVar)}
	if w.dir == "" {
		w.dir = t.TempDir()
	}
	w.dir = strings.TrimSuffix(w.dir, "/")
	for _, d := range []string{"web/www/css", "web/images", "srv"} {
		check(t, os.MkdirAll(w.dir+"/"+d, 0o755))
	}
	w.write(t, "www/index.html", "www/css/site.css", "images/a.jpg")
	w.daemon = startDaemon(t, harness.DaemonConfig{})
	port, err := harness.FreePort()
	check(t, err)
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	w.url = "http://" + address + "/"
	etc := t.TempDir()
	if os.Getenv(rootVar) != "" {
		etc = w.dir + "/etc/lockstep"
		check(t, os.MkdirAll(etc, 0o755))
	}
	w.config = filepath.Join(etc, "lockstep.toml")
	check(t, os.WriteFile(w.config, fmt.Appendf(nil, `control = %[1]q
page = %[2]q
[mirror.www]
source = "%[3]s/web/www"
targets = ["%[3]s/srv/www", "rsync://%[4]s@127.0.0.1:%[5]d/%[6]s", "rsync://127.0.0.1:1/web2"]
password_file = %[7]q
[mirror.images]
source = "%[3]s/web/images"
targets = ["%[3]s/srv/images"]
`, filepath.Join(filepath.Dir(w.config), "ctl"), address, w.dir, harness.User, w.daemon.Port, w.daemon.Module, w.daemon.PasswordFile), 0o644))
	w.start(t)
	t.Cleanup(func() { w.stop(t) })
	return w
}

// start runs lockstep until stop.
func (w *pageWorld) start(t *testing.T) {
	binary, err := harness.Binary()
	check(t, err)
	w.run = exec.Command(binary, "run", "-q", "-c", w.config)
	check(t, w.run.Start())
	check(t, harness.Poll(soon, "the page", func() bool {
		c, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(w.url, "http:"), "/"))
		if err == nil {
			c.Close()
		}
		return err == nil
	}))
}

func (w *pageWorld) stop(t *testing.T) {
	if w.run != nil {
		check(t, w.run.Process.Signal(syscall.SIGTERM))
		check(t, w.run.Wait())
		w.run = nil
	}
}

func (w *pageWorld) write(t *testing.T, names ...string) {
	t.Helper()
	for _, n := range names {
		check(t, os.WriteFile(w.dir+"/web/"+n, []byte(n+time.Now().String()), 0o644))
	}
}

// live changes things for some minutes, so that there is something to see.
func (w *pageWorld) live(t *testing.T) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for i := range 300 {
		<-tick.C
		if i%7 < 3 {
			w.write(t, []string{"www/index.html", "www/css/site.css", "www/news.html"}[i%3])
		}
		if i%37 == 20 {
			var names []string
			for j := range 100 * (1 + i%5) {
				names = append(names, fmt.Sprintf("images/photo-%d-%03d.jpg", i, j))
			}
			w.write(t, names...)
		}
	}
}

// browser is a Chromium without a window. It notes what it loads and what it
// complains about.
type browser struct {
	context.Context
	mu     sync.Mutex
	loaded []string
	said   []string
}

func newBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *browser {
	need(t, "chromium")
	path, err := exec.LookPath("chromium")
	check(t, err)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1180, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(options, more...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{Context: ctx}
	check(t, chromedp.Listen(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch ev := ev.(type) {
		case *network.EventRequestWillBeSent:
			b.loaded = append(b.loaded, ev.Request.URL)
		case *cdplog.EventEntryAdded:
			b.said = append(b.said, ev.Entry.Text)
		}
	}))
	b.Context, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	return b
}

// act does one thing in the browser.
func act[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(b, a)
	check(t, err)
	return v
}

// call gives the browser one command.
func call[P, R any](t *testing.T, b *browser, c cdp.Command[P, R], p P) R {
	t.Helper()
	v, err := chromedp.Call(b, c, p)
	check(t, err)
	return v
}

// eval is what a script of the page gives.
func eval[T any](t *testing.T, b *browser, script string) T {
	t.Helper()
	return act(t, b, chromedp.Evaluate[T](script))
}

// text waits until what a selector finds holds a text.
func (b *browser) text(t *testing.T, selector, want string) {
	t.Helper()
	got := ""
	if err := harness.Poll(soon, fmt.Sprintf("%s to say %q", selector, want), func() bool {
		got = eval[string](t, b, fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.innerText).join(' ¦ ')", selector))
		return strings.Contains(got, want)
	}); err != nil {
		t.Fatalf("%v; it says %q", err, got)
	}
}

// shot takes a picture of the whole page, if pictures are wanted.
func (b *browser) shot(t *testing.T, name string) {
	if dir := os.Getenv(shotsVar); dir != "" {
		check(t, os.WriteFile(filepath.Join(dir, name), act(t, b, chromedp.FullScreenshot(100)), 0o644))
	}
}

// prefers has the browser like light or dark.
func (b *browser) prefers(t *testing.T, scheme string) {
	call(t, b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
}

func TestThePageInABrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	w := newPageWorld(t)
	call(t, b, network.Enable, network.EnableParams{})
	call(t, b, cdplog.Enable, cdp.Empty{})
	b.prefers(t, "light")
	act(t, b, chromedp.Navigate(w.url))

	b.text(t, "#verdict", "1 of 4 targets needs attention")
	b.text(t, "tr.good", "in step")
	b.text(t, "tr.bad .pill", "failing")
	b.text(t, ".trouble", "no rsync daemon answers there")
	b.text(t, ".trouble .next", "systemctl start rsync")

	// It lives: changes turn up without another load, and the focus stays.
	eval[string](t, b, "window.mine = 'kept'")
	act(t, b, chromedp.KeyEvent(kb.Tab))
	if got := eval[string](t, b, "document.activeElement.className"); got != "skip" {
		t.Errorf("the first Tab leads to %q, want the link that skips", got)
	}
	w.write(t, "www/news.html", "images/sunrise.jpg")
	b.text(t, "#changes li .paths", "news.html")
	b.text(t, "#changes li .paths", "sunrise.jpg")
	b.text(t, "#changes li .arrived", "after")
	if got := eval[string](t, b, "window.mine + ' ' + document.activeElement.className"); got != "kept skip" {
		t.Errorf("after an update: %q, want the same page and the same focus", got)
	}

	t.Run("narrow, wide, light and dark", func(t *testing.T) { looks(t, b, w) })
	t.Run("for a screen reader", func(t *testing.T) { reads(t, b) })
	t.Run("lost and found", func(t *testing.T) {
		w.stop(t)
		b.text(t, "#lost", "The connection to lockstep is lost")
		w.start(t)
		check(t, harness.Poll(soon, "the connection to be back", func() bool { return eval[bool](t, b, "document.getElementById('lost').hidden") }))
		b.text(t, "tr.good", "in step")
	})
	t.Run("without scripts", func(t *testing.T) {
		call(t, b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		act(t, b, chromedp.Navigate(w.url))
		if verdict := act(t, b, chromedp.Text("#verdict")); !strings.Contains(verdict, "attention") {
			t.Errorf("without scripts it says %q", verdict)
		}
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, url := range b.loaded {
		if !strings.HasPrefix(url, w.url) {
			t.Errorf("the page loads %s", url)
		}
	}
	for _, text := range b.said {
		if !strings.Contains(text, "ERR_CONNECTION_REFUSED") && !strings.Contains(text, "ERR_INCOMPLETE_CHUNKED_ENCODING") {
			t.Errorf("the browser complains: %s", text)
		}
	}
}

// looks holds the page against sizes and colours.
func looks(t *testing.T, b *browser, w *pageWorld) {
	if os.Getenv(shotsVar) != "" {
		w.live(t)
	}
	eval[bool](t, b, "document.activeElement.blur(), true")
	overflow := "[...document.querySelectorAll('body *')].filter(e => !e.closest('.unseen, .skip, thead') && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80)).join('\\n')"
	paper := "getComputedStyle(document.body).backgroundColor"
	papers := map[string]string{}
	for _, c := range []struct {
		name, scheme string
		width        int64
	}{{"page.png", "light", 1180}, {"page-dark.png", "dark", 1180}, {"page-narrow.png", "light", 400}, {"page-narrow-dark.png", "dark", 320}} {
		call(t, b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: c.width, Height: 900, DeviceScaleFactor: 1, Mobile: c.width < 500})
		b.prefers(t, c.scheme)
		if got := eval[int64](t, b, "document.documentElement.scrollWidth"); got > c.width {
			t.Errorf("at %d px the page is %d px wide: %s", c.width, got, eval[string](t, b, overflow))
		}
		papers[c.scheme] = eval[string](t, b, paper)
		b.shot(t, c.name)
	}
	if papers["light"] == papers["dark"] {
		t.Errorf("light and dark have the same paper: %v", papers)
	}
	call(t, b, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
}

// reads looks at what a screen reader gets.
func reads(t *testing.T, b *browser) {
	have := map[string]int{}
	for _, n := range call(t, b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		name := ""
		if n.Name != nil {
			name = strings.Trim(string(n.Name.Value), `"`)
		}
		have[strings.Trim(string(n.Role.Value), `"`)+" "+name]++
	}
	for _, want := range []string{
		"heading 1 of 4 targets needs attention", "heading www", "heading images", "heading Recent changes",
		"table Targets of www", "columnheader State", "link Skip to the mirrors", "region www",
	} {
		if have[want] == 0 {
			t.Errorf("a screen reader finds no %q in %v", want, have)
		}
	}
	spoken := 0
	for name, n := range have {
		if strings.HasPrefix(name, "image lag over the last ") || strings.HasPrefix(name, "img lag over the last ") {
			spoken += n
		}
	}
	if spoken != 4 {
		t.Errorf("%d sparklines say what they show, want 4: %v", spoken, have)
	}
}
