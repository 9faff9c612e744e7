package web_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lockstep/internal/ops/report"
	"lockstep/internal/ops/web"
)

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// status is a mirror with a target in a state, and an error of a peer that
// means no good.
func status(state string) report.Status {
	now := time.Now()
	return report.Status{PID: 7, Version: "lockstep v1", Started: now, File: "/etc/lockstep/lockstep.toml", Mirrors: []report.Mirror{{
		Name: "www", Source: "/web/<b>", State: report.Running, Since: now, Backend: "fanotify", Entries: 1234,
		Targets: []report.Target{{Target: "web1::www", State: state, Since: now, Error: "no such <script>alert(1)</script>", ErrorAt: &now, Errors: 1, Bytes: 5 << 20}},
	}}}
}

func serve(t *testing.T, o web.Options) *web.Server {
	t.Helper()
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	if o.Status == nil {
		o.Status = func() report.Status { return status("in step") }
	}
	s, err := web.Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// fetch gets a page as a browser would.
func fetch(t *testing.T, c *http.Client, r *http.Request) (code int, head http.Header, body string) {
	t.Helper()
	got, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, got.Header, string(text)
}

func get(t *testing.T, at string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestThePageSaysHowThingsAre(t *testing.T) {
	for state, want := range map[string]string{
		"in step": "Everything is in step", "behind": "The target is catching up", "first pass": "The target is catching up",
		"paused": "The target is told to wait", "quiet": "The target is told to wait", "failing": "The target needs attention", "stopped": "The target needs attention",
		"waiting": "The target needs attention", "down": "The target needs attention",
	} {
		s := serve(t, web.Options{Status: func() report.Status { return status(state) }})
		code, _, body := fetch(t, http.DefaultClient, get(t, s.URL()))
		if code != http.StatusOK || !strings.Contains(body, `aria-atomic="true">`+want+"</h1>") {
			t.Errorf("%s: %d, want %q in %s", state, code, want, body)
		}
		if shows := strings.Contains(body, "&lt;script&gt;alert(1)"); shows != (want == "The target needs attention") {
			t.Errorf("%s: the error is shown: %v", state, shows)
		}
		if strings.Contains(body, "<script>") || strings.Contains(body, "<b>/") || strings.Contains(body, "/web/<b>") {
			t.Errorf("%s: something is not escaped: %s", state, body)
		}
	}
}

func TestAFirstPassShowsHowFarItIs(t *testing.T) {
	s := serve(t, web.Options{Status: func() report.Status {
		s := status("first pass")
		s.Mirrors[0].Targets[0].Pass = report.Pass{Checked: 500, Total: 2000, Rate: 100, Left: 15}
		return s
	}})
	if _, _, body := fetch(t, http.DefaultClient, get(t, s.URL())); !strings.Contains(body, `value="25"`) || !strings.Contains(body, "25 %, 500 of 2,000 entries, 100 a second, 15 s left") {
		t.Errorf("got %s", body)
	}
}

func TestOnlyWhatWasChangedIsListed(t *testing.T) {
	now := time.Now()
	s := serve(t, web.Options{Recent: func(int) []report.Change {
		return []report.Change{{Serial: 3, Mirror: "www", At: now, Paths: []string{"a&b"}, More: 2,
			Arrived: []report.Arrival{{Target: "web1::www", At: now, Lag: 12 * time.Millisecond}}}}
	}})
	_, _, body := fetch(t, http.DefaultClient, get(t, s.URL()))
	for _, want := range []string{`<li id="c3">`, "<code>a&amp;b</code>", "and 2 more paths", "</span> 12 ms</li>", "up to 12 ms lately", "the last change arrived just now"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in %s", want, body)
		}
	}
}

func TestOnlyThisServerIsLoadedFrom(t *testing.T) {
	s := serve(t, web.Options{})
	for path, want := range map[string]string{"": "text/html", "page.css": "text/css", "page.js": "text/javascript", "icon.svg": "image/svg+xml", "status.json": "application/json"} {
		code, head, body := fetch(t, http.DefaultClient, get(t, s.URL()+path))
		if code != http.StatusOK || !strings.HasPrefix(head.Get("Content-Type"), want) {
			t.Errorf("/%s: %d, %s", path, code, head.Get("Content-Type"))
		}
		if p := head.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") || strings.Contains(p, "http") {
			t.Errorf("/%s: policy %q", path, p)
		}
		if found := regexp.MustCompile(`(?i)(src|href|url\(|import)[="' (]*(https?:)?//`).FindString(body); found != "" {
			t.Errorf("/%s loads from elsewhere: %q", path, found)
		}
	}
	for path, method := range map[string]string{"nothing": http.MethodGet, "": http.MethodPost, "status.json": http.MethodDelete} {
		r := get(t, s.URL()+path)
		r.Method = method
		if code, _, _ := fetch(t, http.DefaultClient, r); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
			t.Errorf("%s /%s: %d", method, path, code)
		}
	}
}

func TestAPageOfSomebodyElseCannotReadIt(t *testing.T) {
	s := serve(t, web.Options{})
	for host, want := range map[string]int{
		"evil.example": http.StatusMisdirectedRequest, "127.0.0.1.evil.example:80": http.StatusMisdirectedRequest, "": http.StatusOK,
		"localhost:1234": http.StatusOK, "[::1]:99": http.StatusOK, "127.9.9.9": http.StatusOK,
	} {
		r := get(t, s.URL())
		r.Host = host
		if code, _, _ := fetch(t, http.DefaultClient, r); code != want {
			t.Errorf("Host %q: got %d, want %d", host, code, want)
		}
	}
}

func TestTheTokenLetsIn(t *testing.T) {
	s := serve(t, web.Options{Token: "open sesame"})
	for _, path := range []string{"", "events", "status.json"} {
		if code, _, body := fetch(t, http.DefaultClient, get(t, s.URL()+path)); code != http.StatusUnauthorized || strings.Contains(body, "web1::www") {
			t.Errorf("/%s without the token: %d, %s", path, code, body)
		}
	}
	for token, want := range map[string]int{"open sesame": http.StatusOK, "open sesam": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		r := get(t, s.URL()+"status.json")
		r.Header.Set("Authorization", "Bearer "+token)
		if code, _, _ := fetch(t, http.DefaultClient, r); code != want {
			t.Errorf("Bearer %q: %d, want %d", token, code, want)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	login := func(token string) (int, string) {
		r, err := browser.PostForm(s.URL()+"login", url.Values{"token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	if code, body := login("wrong"); code != http.StatusUnauthorized || !strings.Contains(body, "That is not it") {
		t.Errorf("a wrong token: %d, %s", code, body)
	}
	if code, body := login("open sesame"); code != http.StatusOK || !strings.Contains(body, "Everything is in step") {
		t.Errorf("the right one: %d, %s", code, body)
	}
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range jar.Cookies(at) {
		if strings.Contains(c.Value, "sesame") {
			t.Errorf("the cookie holds the token: %v", c)
		}
	}
}

func TestItIsNotExposedToEverybody(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": false, "[::1]:1": false, "localhost:1": false, "unix:/run/x": false, "127.8.8.8:1": false,
		"0.0.0.0:1": true, "[::]:1": true, "192.0.2.1:1": true, "web.example:1": true, "nonsense": true,
	} {
		if got := web.Exposed(address); got != want {
			t.Errorf("%s is exposed: %v", address, got)
		}
		o := web.Options{Address: address}
		if err := o.Validate(); (err != nil) != want {
			t.Errorf("%s without a token: %v", address, err)
		}
		o.Token = "x"
		if err := o.Validate(); err != nil {
			t.Errorf("%s with a token: %v", address, err)
		}
	}
	for name, o := range map[string]web.Options{
		"a certificate without a key":               {Address: "localhost:1", Cert: "c"},
		"client certificates without our own":       {Address: "localhost:1", ClientCA: "c"},
		"a certificate alone on an exposed address": {Address: "0.0.0.0:1", Cert: "c", Key: "k"},
	} {
		if o.Validate() == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// certificate writes one signed by ca, or by itself, and its key.
func certificate(t *testing.T, dir, name string, ca *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: ca == nil, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	parent, signer := c, any(key)
	if ca != nil {
		if parent, err = x509.ParseCertificate(ca.Certificate[0]); err != nil {
			t.Fatal(err)
		}
		signer = ca.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, name+file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestCertificatesLetIn(t *testing.T) {
	dir := t.TempDir()
	ca := certificate(t, dir, "ca", nil)
	certificate(t, dir, "server", &ca)
	friend := certificate(t, dir, "friend", &ca)
	stranger := certificate(t, dir, "stranger", nil)
	s := serve(t, web.Options{Cert: filepath.Join(dir, "server.pem"), Key: filepath.Join(dir, "server.key"), ClientCA: filepath.Join(dir, "ca.pem")})
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Fatalf("it is at %s", s.URL())
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	for name, given := range map[string][]tls.Certificate{"friend": {friend}, "stranger": {stranger}, "nobody": nil} {
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: given}, DisableKeepAlives: true}}
		r, err := c.Do(get(t, s.URL()))
		if err == nil {
			r.Body.Close()
		}
		if (err == nil) != (name == "friend") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrowsersAreKeptUpToDate(t *testing.T) {
	var state atomic.Value
	state.Store("in step")
	s := serve(t, web.Options{Status: func() report.Status { return status(state.Load().(string)) }})
	r, err := http.DefaultClient.Do(get(t, s.URL()+"events"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("the content type is %q", got)
	}
	lines := bufio.NewScanner(r.Body)
	await := func(want string) {
		t.Helper()
		for lines.Scan() {
			if l := lines.Text(); l != "" && !strings.HasPrefix(l, "data:") && !strings.HasPrefix(l, "retry:") {
				t.Fatalf("%q is no field of an event", l)
			} else if strings.Contains(l, want) {
				return
			}
		}
		t.Fatalf("the stream ends before %q: %v", want, lines.Err())
	}
	end := time.AfterFunc(patience, func() { r.Body.Close() })
	defer end.Stop()
	await("Everything is in step")
	state.Store("failing")
	await("The target needs attention")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for lines.Scan() { // ends when the server does
	}
}

func TestAUnixSocketIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page")
	for range 2 { // the second takes the place of one that was left behind
		if l, err := net.Listen("unix", path); err == nil {
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			l.Close()
		}
		s := serve(t, web.Options{Address: "unix:" + path})
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket: %v, %v", info, err)
		}
		c := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		}, DisableKeepAlives: true}}
		if code, _, body := fetch(t, c, get(t, "http://lockstep/")); code != http.StatusOK || !strings.Contains(body, "in step") {
			t.Errorf("over the socket: %d, %s", code, body)
		}
		if _, err := web.Listen(web.Options{Address: "unix:" + path, Status: func() report.Status { return status("in step") }}); err == nil {
			t.Error("a socket that somebody serves was taken over")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestTextCanBeRead holds the colours of the style sheet against WCAG 2.2,
// 1.4.3: text needs a contrast of 4.5 to what it stands on.
func TestTextCanBeRead(t *testing.T) {
	css, err := os.ReadFile("assets/page.css")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile(`:root \{[^}]*\}`).FindAllString(string(css), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d sets of colours, want light and dark", len(blocks))
	}
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(blocks[i], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, pair := range [][2]string{
			{"ink", "paper"}, {"ink", "card"}, {"soft", "paper"}, {"soft", "card"}, {"ink", "bad-bg"}, {"soft", "bad-bg"}, {"paper", "good"},
			{"good", "good-bg"}, {"busy", "busy-bg"}, {"quiet", "quiet-bg"}, {"bad", "bad-bg"}, {"good", "card"}, {"bad", "paper"},
		} {
			a, b := colours[pair[0]], colours[pair[1]]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", scheme, pair[0], pair[1], ratio)
			}
		}
	}
}

// luminance is that of WCAG 2.2 for a colour in hex digits.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}
