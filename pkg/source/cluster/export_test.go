package cluster

import "time"

// SetPatience replaces how long a kind is to be forbidden until that counts.
func (s *Source) SetPatience(d time.Duration) { s.patience = d }
