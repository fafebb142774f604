package main

import (
	"fmt"
	"strings"
	"testing"
)

func newPool(t *testing.T, first, last string) *addressPool {
	t.Helper()
	pool, err := newAddressPool(first, last)
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestRange(t *testing.T) {
	for _, test := range []struct{ first, last, problem string }{
		{"127.0.10.1", "127.0.10.254", ""},
		{"127.0.10.1", "127.0.10.1", ""},
		{"127.0.10.2", "127.0.10.1", "no range"},
		{"127.0.10.1", "::1", "no range"},
		{"here", "127.0.10.1", "first address"},
		{"127.0.10.1", "there", "last address"},
	} {
		_, err := newAddressPool(test.first, test.last)
		if got := fmt.Sprint(err); (err == nil) != (test.problem == "") ||
			!strings.Contains(got, test.problem) && err != nil {
			t.Errorf("%s-%s: %v, want %q", test.first, test.last, err, test.problem)
		}
	}
}

func TestClaims(t *testing.T) {
	type claim struct{ holder, wanted, gets, problem string }
	for name, claims := range map[string][]claim{
		"the lowest that is free": {
			{"a", "", "127.0.10.1", ""}, {"b", "", "127.0.10.2", ""},
		},
		"the one that it has": {
			{"a", "", "127.0.10.1", ""}, {"a", "", "127.0.10.1", ""}, {"a", "127.0.10.3", "127.0.10.1", ""},
		},
		"the wanted one": {
			{"a", "127.0.10.2", "127.0.10.2", ""}, {"b", "", "127.0.10.1", ""}, {"c", "", "127.0.10.3", ""},
		},
		"a taken one": {
			{"a", "127.0.10.2", "127.0.10.2", ""}, {"b", "127.0.10.2", "", "is taken"},
		},
		"out of the range": {
			{"a", "127.0.10.4", "", "is not in"}, {"a", "127.0.9.255", "", "is not in"},
		},
		"no address": {
			{"a", "here", "", "the wanted address"},
		},
		"none is left": {
			{"a", "", "127.0.10.1", ""}, {"b", "", "127.0.10.2", ""}, {"c", "", "127.0.10.3", ""},
			{"d", "", "", "no address is free"}, {"a", "", "127.0.10.1", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			pool := newPool(t, "127.0.10.1", "127.0.10.3")
			for _, claim := range claims {
				got, err := pool.claim(claim.holder, claim.wanted)
				if got != claim.gets || (err == nil) != (claim.problem == "") ||
					err != nil && !strings.Contains(err.Error(), claim.problem) {
					t.Errorf("%+v: got %q, %v", claim, got, err)
				}
			}
		})
	}
}

func TestReleasedAddressIsGivenAgain(t *testing.T) {
	pool := newPool(t, "127.0.10.1", "127.0.10.2")
	for _, holder := range []string{"a", "b"} {
		if _, err := pool.claim(holder, ""); err != nil {
			t.Fatal(err)
		}
	}
	pool.release("a")
	pool.release("nobody")
	if got := pool.held("a"); got != "" {
		t.Errorf("a still holds %s", got)
	}
	if got, err := pool.claim("c", ""); err != nil || got != "127.0.10.1" {
		t.Errorf("c got %q, %v", got, err)
	}
}
