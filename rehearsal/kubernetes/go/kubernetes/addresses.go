package main

import (
	"fmt"
	"net/netip"
	"sync"
)

// addressPool hands out the addresses of a range, lowest first, one to each holder.
type addressPool struct {
	mutex       sync.Mutex
	first, last netip.Addr
	holders     map[netip.Addr]string
}

func newAddressPool(first, last string) (*addressPool, error) {
	from, err := netip.ParseAddr(first)
	if err != nil {
		return nil, fmt.Errorf("first address: %w", err)
	}
	to, err := netip.ParseAddr(last)
	if err != nil {
		return nil, fmt.Errorf("last address: %w", err)
	}
	if from.Is4() != to.Is4() || to.Less(from) {
		return nil, fmt.Errorf("%s-%s is no range of addresses", first, last)
	}
	return &addressPool{first: from, last: to, holders: map[netip.Addr]string{}}, nil
}

// claim gives holder its address: the one it has, else the wanted one, else the lowest free one.
// A wanted one that is taken or out of the range is an error, as in a cloud.
func (p *addressPool) claim(holder, wanted string) (string, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()

	if address := p.find(holder); address.IsValid() {
		return address.String(), nil
	}
	if wanted != "" {
		address, err := netip.ParseAddr(wanted)
		if err != nil {
			return "", fmt.Errorf("the wanted address: %w", err)
		}
		if !p.contains(address) {
			return "", fmt.Errorf("the wanted address %s is not in %s-%s", wanted, p.first, p.last)
		}
		if _, taken := p.holders[address]; taken {
			return "", fmt.Errorf("the wanted address %s is taken", wanted)
		}
		p.holders[address] = holder
		return wanted, nil
	}
	for address := p.first; p.contains(address); address = address.Next() {
		if _, taken := p.holders[address]; !taken {
			p.holders[address] = holder
			return address.String(), nil
		}
	}
	return "", fmt.Errorf("no address is free in %s-%s", p.first, p.last)
}

// held returns holder's address, "" without one.
func (p *addressPool) held(holder string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()

	if address := p.find(holder); address.IsValid() {
		return address.String()
	}
	return ""
}

// release takes holder's address back; without one it does nothing.
func (p *addressPool) release(holder string) {
	p.mutex.Lock()
	defer p.mutex.Unlock()

	delete(p.holders, p.find(holder))
}

// find returns holder's address, an invalid one without one; the caller has the mutex.
func (p *addressPool) find(holder string) netip.Addr {
	for address, by := range p.holders {
		if by == holder {
			return address
		}
	}
	return netip.Addr{}
}

func (p *addressPool) contains(address netip.Addr) bool {
	return !address.Less(p.first) && !p.last.Less(address)
}
