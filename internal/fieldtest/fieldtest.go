// Package fieldtest walks the fields of a struct, for tests of rules that must hold
// for every field, including any that is added later.
package fieldtest

import (
	"reflect"
	"testing"
	"time"
)

// Each calls visit once for each field of T with its path, as in "Retry.Max", and a
// T in which only that field is not zero. A field that is a struct is visited field
// by field; an embedded one adds nothing to the path.
func Each[T any](t *testing.T, visit func(path string, changed T)) {
	t.Helper()
	var walk func(path string, at func(*T) reflect.Value)
	walk = func(path string, at func(*T) reflect.Value) {
		t.Helper()
		var changed T
		v := at(&changed)
		if v.Kind() != reflect.Struct {
			fill(t, v)
			visit(path, changed)
			return
		}
		for i := range v.NumField() {
			walk(join(path, v.Type().Field(i)), func(c *T) reflect.Value { return at(c).Field(i) })
		}
	}
	walk("", func(c *T) reflect.Value { return reflect.ValueOf(c).Elem() })
}

// fill sets a zero value to something else.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[time.Duration]() {
		v.SetInt(int64(7 * time.Second))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint64:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(7)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(t, key)
		fill(t, value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	default:
		t.Fatalf("no value of a %s but the zero one is known", v.Type())
	}
}

// Unset lists the fields of v that are zero, by their paths as in [Each], so that an
// example can promise to have every field.
func Unset(v any) []string {
	var unset []string
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if v.Kind() != reflect.Struct {
			if v.IsZero() {
				unset = append(unset, path)
			}
			return
		}
		for i := range v.NumField() {
			walk(join(path, v.Type().Field(i)), v.Field(i))
		}
	}
	walk("", reflect.ValueOf(v))
	return unset
}

// join returns the path of a field inside the struct at path.
func join(path string, f reflect.StructField) string {
	switch {
	case f.Anonymous:
		return path
	case path == "":
		return f.Name
	}
	return path + "." + f.Name
}
