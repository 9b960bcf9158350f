package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"posefuse/train"
)

// constantOption is a flag of posefuse train and the constants it sets, of one
// or of several methods.
type constantOption []*train.Constant

// constantOptions lists the flags in the order of the methods' table.
func constantOptions() []constantOption {
	var out []constantOption
	for _, c := range train.Methods.Constants() {
		at := slices.IndexFunc(out, func(o constantOption) bool { return o[0].Option == c.Option })
		switch {
		case c.Option == "":
		case at < 0:
			out = append(out, constantOption{c})
		default:
			out[at] = append(out[at], c)
		}
	}
	return out
}

// constantFlags returns a pointer to a struct with a field for each option, for
// kong to fill.
func constantFlags() any {
	var fields []reflect.StructField
	for i, o := range constantOptions() {
		fields = append(fields, reflect.StructField{Name: "Option" + strconv.Itoa(i), Type: reflect.TypeOf(o[0].Default), Tag: o.tag()})
	}
	return reflect.New(reflect.StructOf(fields)).Interface()
}

// applyConstants sets what kong filled in constantFlags.
func applyConstants(flags any, to *train.MethodSettings) {
	v := reflect.ValueOf(flags).Elem()
	for i, o := range constantOptions() {
		value := v.Field(i).Interface()
		if strength, ok := value.(float64); ok && len(o) > 1 && strength < 0 {
			continue
		}
		for _, c := range o {
			to.Set(c, value)
		}
	}
}

// tag describes the flag to kong. Constants that share a flag keep their own
// defaults unless it is given.
func (o constantOption) tag() reflect.StructTag {
	c := o[0]
	tags := []string{"name", c.Option}
	switch {
	case len(o) > 1:
		tags = append(tags, "default", "-1", "placeholder", "N", "help", "Strength of "+or(o.methods())+"; their own default if negative.")
	case len(c.Words) > 0:
		tags = append(tags, "default", fmt.Sprint(c.Default), "enum", strings.Join(c.Words, ","), "help", strings.TrimSuffix(c.Help, ".")+": ${enum}.")
	case c.Default == false:
		tags = append(tags, "help", c.Help)
	default:
		tags = append(tags, "default", fmt.Sprint(c.Default), "help", c.Help)
	}
	var b strings.Builder
	for i := 0; i < len(tags); i += 2 {
		fmt.Fprintf(&b, "%s:%q ", tags[i], tags[i+1])
	}
	return reflect.StructTag(b.String())
}

// methods lists the names of those that read the option's constants.
func (o constantOption) methods() []string {
	var out []string
	for _, d := range train.Methods {
		if slices.ContainsFunc(o, func(c *train.Constant) bool { return slices.Contains(d.Constants, c) }) {
			out = append(out, d.Name)
		}
	}
	return out
}

// or lists words as a sentence does.
func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
