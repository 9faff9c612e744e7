package web

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

//go:embed assets
var assets embed.FS

// pages are the templates: "page" is the whole, "body" the part that changes.
var pages = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").ParseFS(assets, "assets/*.html"))
})

// cookieName holds a digest of the token, so that the token itself is not in
// the browser's files.
const cookieName = "lockstep_page"

// cookieAge is how long a browser need not be told the token again.
const cookieAge = 30 * 24 * time.Hour

// maxToken bounds what a form may send.
const maxToken = 4096

// policy lets a page load what this server has and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// handler serves all paths.
func handler(o Options, h *hub) http.Handler {
	mux := http.NewServeMux()
	for name, kind := range map[string]string{
		"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) { file(w, name, kind) })
	}
	mux.HandleFunc("GET /{$}", o.guarded(func(w http.ResponseWriter, _ *http.Request) { show(w, http.StatusOK, "page", h.view()) }))
	mux.HandleFunc("GET /events", o.guarded(h.stream))
	mux.HandleFunc("GET /status.json", o.guarded(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h.status()) // who went away needs no answer
	}))
	mux.HandleFunc("POST /login", o.login)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cache-Control", "no-store")
		if !o.named(r.Host) {
			http.Error(w, "this page is served on loopback and is not called "+strings.ToValidUTF8(r.Host, "?"), http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// named reports whether a request may name this host. Where nobody has to prove
// anything, only loopback names will do: a page elsewhere can have its own name
// lead to 127.0.0.1 and would read what its visitors may see.
func (o *Options) named(host string) bool {
	if o.Token != "" || o.ClientCA != "" || strings.HasPrefix(o.Address, unixPrefix) {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// guarded lets those pass who may look. TLS has judged certificates by now.
func (o *Options) guarded(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if o.knows(r) {
			next(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", "Bearer")
		show(w, http.StatusUnauthorized, "login", loginView{})
	}
}

// knows reports whether a request comes with the token, if there is one.
func (o *Options) knows(r *http.Request) bool {
	if o.Token == "" {
		return true
	}
	if given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return same(digest(given), digest(o.Token))
	}
	c, err := r.Cookie(cookieName)
	return err == nil && same(c.Value, digest(o.Token))
}

// digest is what a cookie holds of a token.
func digest(token string) string {
	sum := sha256.Sum256([]byte("lockstep page\x00" + token))
	return hex.EncodeToString(sum[:])
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// loginView is what the form for the token shows.
type loginView struct{ Wrong bool }

// login takes the token from the form.
func (o *Options) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxToken)
	if o.Token == "" || !same(digest(strings.TrimSpace(r.PostFormValue("token"))), digest(o.Token)) {
		show(w, http.StatusUnauthorized, "login", loginView{Wrong: true})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: digest(o.Token), Path: "/", HttpOnly: true, Secure: r.TLS != nil,
		SameSite: http.SameSiteStrictMode, MaxAge: int(cookieAge.Seconds())})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// file serves an asset. They change with the binary only, which the browser
// cannot know, so it asks each time; they are small.
func file(w http.ResponseWriter, name, kind string) {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil { // the list and the directory are compiled in together
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", kind)
	_, _ = w.Write(text) // who went away needs no answer
}

// show renders a template as a whole before anything is sent.
func show(w http.ResponseWriter, code int, name string, view any) {
	var b bytes.Buffer
	if err := pages().ExecuteTemplate(&b, name, view); err != nil {
		http.Error(w, fmt.Sprintf("page: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // who went away needs no answer
}

// render is the body of the page.
func render(v view) ([]byte, error) {
	var b bytes.Buffer
	err := pages().ExecuteTemplate(&b, "body", v)
	return b.Bytes(), err
}
