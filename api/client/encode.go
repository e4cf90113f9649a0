package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
)

// Encode writes the body of a request as JSON; nil is no body. Unlike
// [json.Marshal] it keeps each byte of a [json.RawMessage], and of the meta of a
// [NewJob], a [JobChange] and a slice of [NewJob].
func Encode(body any) ([]byte, error) {
	switch b := body.(type) {
	case nil:
		return nil, nil
	case json.RawMessage:
		return b, nil
	case interface{ encode() ([]byte, error) }:
		return b.encode()
	case []NewJob:
		return encodeAll(b)
	}
	return json.Marshal(body)
}

// encodeAll writes the array of a bulk.
func encodeAll(jobs []NewJob) ([]byte, error) {
	data := []byte{'['}
	for i, j := range jobs {
		one, err := j.encode()
		if err != nil {
			return nil, fmt.Errorf("job %d: %w", i, err)
		}
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, one...)
	}
	return append(data, ']'), nil
}

// Values returns the query string of the query.
func (q JobQuery) Values() url.Values { return values(q) }

// Values returns the query string of the query.
func (q LetterQuery) Values() url.Values { return values(q) }

// Values returns the query string of the query.
func (q PageQuery) Values() url.Values { return values(q) }

// values returns the fields of a query by their names in JSON.
func values(query any) url.Values {
	fields := map[string]any{}
	data, err := json.Marshal(query)
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		err = d.Decode(&fields)
	}
	if err != nil {
		panic(err) // a query has only texts and numbers
	}
	all := url.Values{}
	for name, value := range fields {
		all.Set(name, fmt.Sprint(value))
	}
	return all
}
