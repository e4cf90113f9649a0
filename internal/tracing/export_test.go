package tracing

// Variables names the variables that are looked at.
func Variables() (all []string) {
	for _, v := range variables {
		all = append(all, v.name)
	}
	return all
}
