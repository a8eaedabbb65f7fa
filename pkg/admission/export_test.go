package admission

import "time"

// Budget is how long a review with that parameter may take.
func Budget(timeout string) time.Duration { return budget(timeout) }
