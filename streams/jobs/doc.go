// Package jobs keeps the records of jobs, and their history.
//
// Each job is one key of its partition's bucket, and each change of it is one
// compare-and-set. Attempts keep the results of the tries, and DeadLetters write the
// copies in DEAD. The timer, which moves jobs on, is in another package.
package jobs
