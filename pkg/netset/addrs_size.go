package netset

import (
	"math/big"
	"math/bits"
)

// Size is the number of addresses of one family, counted over Ranges: ::/0 has 2^128, although 2^32 of these numbers
// are IPv4-mapped.
func (a Addrs) Size(f Family) *big.Int {
	var buf [onStack]span
	total := new(big.Int)
	for _, x := range a.appendFamily(buf[:0], f) {
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
// many IPv6 addresses as one of v6Bits bits, counted as Size does. They need not be adjacent.
func (a Addrs) HasAtLeast(v4Bits, v6Bits int) bool {
	var buf [onStack]span
	return hasBits(a.appendFamily(buf[:0], IPv4), 32-v4Bits) || hasBits(a.appendFamily(buf[:0], IPv6), 128-v6Bits)
}

// hasBits says whether s has at least 2^hostBits numbers.
func hasBits(s []span, hostBits int) bool {
	hostBits = min(max(hostBits, 0), 128)
	want := maxNum // 2^hostBits, less one
	if hostBits < 64 {
		want = num{0, 1<<hostBits - 1}
	} else if hostBits < 128 {
		want = num{1<<(hostBits-64) - 1, ^uint64(0)}
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
