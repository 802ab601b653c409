// Pulumi's provider for Kubernetes. Its module leaves out a `main` that can be built outside its repository: the two files that it embeds are
// finished by a build there. scripts/toolchain takes them from the module, with the version set, and puts them beside this file for the build alone.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var terraformMapping []byte

// version is set when it is linked.
var version string

func main() { provider.Serve("kubernetes", version, schema, terraformMapping) }
