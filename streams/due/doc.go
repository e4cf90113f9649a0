// Package due decides which records of a partition to load and fire next. It is pure:
// it learns of records through its methods, takes the time as a parameter, and does
// nothing by itself.
package due
