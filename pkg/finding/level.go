package finding

import "fmt"

// Level is how strictly a namespace is guarded. The words and their order are those of Pod Security Admission: each
// level includes the rules of the ones before it.
type Level uint8

// The levels, from no rules to all of them. The zero value asks nothing.
const (
	Privileged Level = iota
	Baseline
	Restricted
)

// ParseLevel reads the name of a level, exactly as written on a namespace label.
func ParseLevel(s string) (Level, error) {
	switch s {
	case "privileged":
		return Privileged, nil
	case "baseline":
		return Baseline, nil
	case "restricted":
		return Restricted, nil
	}
	return Privileged, fmt.Errorf("unknown level %q: use privileged, baseline or restricted", s)
}

func (l Level) String() string {
	switch l {
	case Privileged:
		return "privileged"
	case Baseline:
		return "baseline"
	case Restricted:
		return "restricted"
	}
	return fmt.Sprintf("Level(%d)", uint8(l))
}

// Includes says whether a namespace guarded at level l asks for the rules of level other. Nothing is a rule of level
// privileged.
func (l Level) Includes(other Level) bool { return other != Privileged && other <= l }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(text []byte) error {
	parsed, err := ParseLevel(string(text))
	if err != nil {
		return err
	}
	*l = parsed
	return nil
}

// Severity is how much harm a finding stands for, independent of the level at which its rule is asked for.
type Severity uint8

// The severities, from a remark to an open door.
const (
	Info Severity = iota
	Low
	Medium
	High
)

func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Low:
		return "low"
	case Medium:
		return "medium"
	case High:
		return "high"
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText implements encoding.TextMarshaler.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Severity) UnmarshalText(text []byte) error {
	for candidate := Info; candidate <= High; candidate++ {
		if candidate.String() == string(text) {
			*s = candidate
			return nil
		}
	}
	return fmt.Errorf("unknown severity %q: use info, low, medium or high", text)
}

// Outcome is how sure a finding is.
type Outcome uint8

const (
	// Violation: the rule is broken.
	Violation Outcome = iota
	// Provisional: the rule is broken by what is there now, but objects that may follow would mend it. It never denies.
	Provisional
	// Undetermined: the snapshot lacks what the rule needs to know. It never denies, and it is never silent.
	Undetermined
)

func (o Outcome) String() string {
	switch o {
	case Violation:
		return "violation"
	case Provisional:
		return "provisional"
	case Undetermined:
		return "undetermined"
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}
