package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"lockstep/internal/fs/tree"
)

// Hook is who is called. Neither a command nor a URL is nobody.
type Hook struct {
	Name    string // its key
	Command []string
	URL     string
}

// maxRetries bounds hook_retries.
const maxRetries = 100

// errHook says how a hook may be written.
var errHook = errors.New(`want a list of a program and its arguments, such as ["/usr/local/bin/purge", "www"], or an http:// or https:// URL`)

// Hooks are those that are set, of on_batch, on_in_step and on_failing.
func (s *Settings) Hooks() (all []Hook, err error) {
	for _, given := range []struct {
		key   string
		value any
	}{{"on_batch", s.OnBatch}, {"on_in_step", s.OnInStep}, {"on_failing", s.OnFailing}} {
		h, err := readHook(given.key, given.value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", given.key, err)
		}
		if h.URL != "" || len(h.Command) > 0 {
			all = append(all, h)
		}
	}
	return all, nil
}

func readHook(key string, value any) (Hook, error) {
	h := Hook{Name: key}
	if text, ok := value.(string); ok {
		if text == "" {
			return h, nil
		}
		at, err := url.Parse(text)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return h, fmt.Errorf("%s: %w", tree.Quote(text), errHook)
		}
		if at.User != nil {
			return h, errors.New("passwords are not written here: name a file that holds a token with hook_token_file")
		}
		h.URL = text
		return h, nil
	}
	words, ok := value.([]any)
	if !ok {
		return h, errHook
	}
	for _, w := range words {
		text, ok := w.(string)
		if !ok {
			return h, errHook
		}
		h.Command = append(h.Command, text)
	}
	if len(h.Command) > 0 && !filepath.IsAbs(h.Command[0]) {
		return h, fmt.Errorf("%s is not an absolute path", tree.Quote(h.Command[0]))
	}
	return h, nil
}

// hooks checks all settings of hooks.
func (s *Settings) hooks() error {
	if _, err := s.Hooks(); err != nil {
		return err
	}
	if s.HookTokenFile != "" {
		if err := absolute("hook_token_file", s.HookTokenFile); err != nil {
			return err
		}
	}
	if s.HookRetries < 0 || s.HookRetries > maxRetries {
		return fmt.Errorf("hook_retries: %d is not within 0 to %d", s.HookRetries, maxRetries)
	}
	if time.Duration(s.HookTimeout) < time.Millisecond {
		return fmt.Errorf("hook_timeout: %v is below 1ms", time.Duration(s.HookTimeout))
	}
	return nil
}
