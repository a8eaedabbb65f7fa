package fix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/portcullis-dev/portcullis/pkg/finding"
)

// splitPointer are the reference tokens of a JSON Pointer (RFC 6901).
func splitPointer(pointer string) []string {
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i := range tokens {
		tokens[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(tokens[i])
	}
	return tokens
}

// plain is a value as encoding/json decodes it, with numbers as they are written.
func plain(value any) (any, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("encoding a value of the patch: %w", err)
	}
	return decode(text)
}

func decode(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	return out, nil
}

// meaning is the value of a document, as kubectl reads it.
func meaning(text []byte) ([]byte, error) {
	if isJSON(text) {
		return text, nil
	}
	return k8syaml.YAMLToJSONStrict(text)
}

// expected is the value that the patched document must have.
func expected(text []byte, object string, patch []finding.PatchOp) (any, error) {
	document, err := meaning(text)
	if err != nil {
		return nil, err
	}
	ops := make([]finding.PatchOp, len(patch))
	for i, op := range patch {
		op.Path = object + op.Path
		if op.From != "" {
			op.From = object + op.From
		}
		ops[i] = op
	}
	encoded, err := json.Marshal(ops)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	decoded, err := jsonpatch.DecodePatch(encoded)
	if err != nil {
		return nil, fmt.Errorf("decoding the patch: %w", err)
	}
	options := jsonpatch.NewApplyOptions()
	options.EscapeHTML = false
	patched, err := decoded.ApplyWithOptions(document, options)
	if err != nil {
		return nil, fmt.Errorf("the patch does not fit: %w", err)
	}
	return decode(patched)
}

// errChanged is a text that would mean something else than the patch says.
var errChanged = errors.New("is written in a way that cannot be edited without changing more than the fix")

// prove checks that the edited text means what is wanted.
func (e *editor) prove(want any) error {
	text, err := meaning(e.text)
	if err != nil {
		return errChanged
	}
	got, err := decode(text)
	if err != nil || !reflect.DeepEqual(got, want) {
		return errChanged
	}
	return nil
}

// valueAt is the part of a value that the tokens lead to.
func valueAt(value any, tokens []string) (any, bool) {
	for _, token := range tokens {
		switch in := value.(type) {
		case map[string]any:
			next, there := in[token]
			if !there {
				return nil, false
			}
			value = next
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			value = in[i]
		default:
			return nil, false
		}
	}
	return value, true
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}

func isCollection(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}
