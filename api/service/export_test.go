package service

// Semantic is for its test.
func Semantic(version string) string { return semantic(version) }

const MaxUnderWay = maxUnderWay
