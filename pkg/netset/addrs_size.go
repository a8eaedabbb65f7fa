package netset

import (
	"math/big"
	"math/bits"
)

// Size is the number of addresses of one family. An IPv6 prefix counts in full: ::/0 has 2^128 addresses.
func (a Addrs) Size(f Family) *big.Int {
	total := new(big.Int)
	for _, x := range a.spansOf(f) {
		total.Add(total, new(big.Int).Sub(bigOf(x.hi), bigOf(x.lo)))
		total.Add(total, big.NewInt(1))
	}
	return total
}

func bigOf(n num) *big.Int {
	b := new(big.Int).SetUint64(n.hi)
	return b.Or(b.Lsh(b, 64), new(big.Int).SetUint64(n.lo))
}

// HasAtLeast says whether the set holds at least as many IPv4 addresses as one prefix of v4Bits bits, or at least as
// many IPv6 addresses as one of v6Bits bits. They need not be adjacent.
func (a Addrs) HasAtLeast(v4Bits, v6Bits int) bool {
	return hasBits(a.spansOf(IPv4), 32-v4Bits) || hasBits(a.spansOf(IPv6), 128-v6Bits)
}

// hasBits says whether s has at least 2^hostBits numbers.
func hasBits(s spans, hostBits int) bool {
	if hostBits < 0 {
		hostBits = 0
	}
	var want num // 2^hostBits, less one
	switch {
	case hostBits >= 128:
		want = maxNum
	case hostBits >= 64:
		want = num{1<<(hostBits-64) - 1, ^uint64(0)}
	default:
		want = num{0, 1<<hostBits - 1}
	}
	var sum num // the numbers seen so far
	for _, x := range s {
		lo, borrow := bits.Sub64(x.hi.lo, x.lo.lo, 0)
		hi, _ := bits.Sub64(x.hi.hi, x.lo.hi, borrow)
		lo, carry := bits.Add64(sum.lo, lo, 0)
		hi, carry = bits.Add64(sum.hi, hi, carry)
		if sum = (num{hi, lo}); carry != 0 || !sum.less(want) { // sum is one less than the numbers up to x
			return true
		}
		sum = sum.next()
	}
	return false
}
