// Derives facts about Kubernetes' API from its Go types, as data: which fields a message has, their protobuf numbers and
// JSON names, how each is written, and how its lists and maps merge. Nothing but such facts is taken.
//
//	go run . table  > ../../crates/types/src/schema/facts.txt
//	go run . golden > ../../crates/api/src/protobuf/testdata/golden.txt
//
// `crates/types/src/schema.rs` says what the lines mean. Run it again when the version of Kubernetes that is served changes.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	merge "sigs.k8s.io/structured-merge-diff/v6/schema"
	"sigs.k8s.io/structured-merge-diff/v6/typed"
)

var served = []string{
	"/v1", "apps/v1", "batch/v1", "autoscaling/v1", "autoscaling/v2", "policy/v1", "networking.k8s.io/v1",
	"discovery.k8s.io/v1", "rbac.authorization.k8s.io/v1", "storage.k8s.io/v1", "scheduling.k8s.io/v1",
	"coordination.k8s.io/v1", "events.k8s.io/v1", "certificates.k8s.io/v1", "authentication.k8s.io/v1",
	"authorization.k8s.io/v1", "admissionregistration.k8s.io/v1", "node.k8s.io/v1",
	"flowcontrol.apiserver.k8s.io/v1", "resource.k8s.io/v1", "apiextensions.k8s.io/v1",
}

// What client-go does not know: the kinds of the aggregator, which has a module of its own.
const aggregator = `= apiregistration.k8s.io/v1 APIService apiregistration.v1.APIService
= apiregistration.k8s.io/v1 APIServiceList apiregistration.v1.APIServiceList
apiregistration.v1.APIService metadata:1@meta.v1.ObjectMeta spec:2@apiregistration.v1.APIServiceSpec status:3@apiregistration.v1.APIServiceStatus
apiregistration.v1.APIServiceCondition type:1s! status:2s! lastTransitionTime:3T reason:4s message:5s
apiregistration.v1.APIServiceList metadata:1@meta.v1.ListMeta items:2[@apiregistration.v1.APIService]
apiregistration.v1.APIServiceSpec service:1@apiregistration.v1.ServiceReference group:2s version:3s insecureSkipTLSVerify:4t caBundle:5b groupPriorityMinimum:7i! versionPriority:8i!
apiregistration.v1.APIServiceStatus conditions:1[@apiregistration.v1.APIServiceCondition]+type
apiregistration.v1.ServiceReference namespace:1s name:2s port:3i?
`

// Likewise what is measured.
const metrics = `= metrics.k8s.io/v1beta1 NodeMetrics metrics.v1beta1.NodeMetrics
= metrics.k8s.io/v1beta1 NodeMetricsList metrics.v1beta1.NodeMetricsList
= metrics.k8s.io/v1beta1 PodMetrics metrics.v1beta1.PodMetrics
= metrics.k8s.io/v1beta1 PodMetricsList metrics.v1beta1.PodMetricsList
metrics.v1beta1.ContainerMetrics name:1s! usage:2{Q}
metrics.v1beta1.NodeMetrics metadata:1@meta.v1.ObjectMeta timestamp:2T window:3D usage:4{Q}
metrics.v1beta1.NodeMetricsList metadata:1@meta.v1.ListMeta items:2[@metrics.v1beta1.NodeMetrics]
metrics.v1beta1.PodMetrics metadata:1@meta.v1.ObjectMeta timestamp:2T window:3D containers:4[@metrics.v1beta1.ContainerMetrics]
metrics.v1beta1.PodMetricsList metadata:1@meta.v1.ListMeta items:2[@metrics.v1beta1.PodMetrics]
`

var options = []any{
	metav1.Status{}, metav1.DeleteOptions{}, metav1.CreateOptions{}, metav1.UpdateOptions{}, metav1.PatchOptions{},
	metav1.ListOptions{}, metav1.GetOptions{}, metav1.PartialObjectMetadata{}, metav1.PartialObjectMetadataList{},
	metav1.WatchEvent{},
}

// Types that are written in a way of their own.
var special = map[reflect.Type]string{
	reflect.TypeFor[resource.Quantity]():                          "Q",
	reflect.TypeFor[metav1.Time]():                                "T",
	reflect.TypeFor[metav1.MicroTime]():                           "M",
	reflect.TypeFor[intstr.IntOrString]():                         "O",
	reflect.TypeFor[runtime.RawExtension]():                       "R",
	reflect.TypeFor[metav1.FieldsV1]():                            "F",
	reflect.TypeFor[apiextensions.JSON]():                         "J",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():        "Ut@apiextensions.v1.JSONSchemaProps",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]():       "Ul@apiextensions.v1.JSONSchemaProps",
	reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray](): "Us@apiextensions.v1.JSONSchemaProps",
}

// Lists that merge by a key and are not in client-go's table, which does not know the type.
var keyed = map[string]string{
	"apiextensions.v1.CustomResourceDefinitionStatus.conditions": "+type",
}

func main() {
	if err := apiextensions.AddToScheme(scheme.Scheme); err != nil {
		fail("%v", err)
	}
	if len(os.Args) != 2 {
		fail("table or golden?")
	}
	switch os.Args[1] {
	case "table":
		table()
	case "golden":
		golden()
	default:
		fail("table or golden?")
	}
}

func fail(why string, values ...any) {
	fmt.Fprintf(os.Stderr, why+"\n", values...)
	os.Exit(1)
}

// A kind and its type.
type kind struct {
	version schema.GroupVersion
	name    string
	of      reflect.Type
}

func kinds() []kind {
	var found []kind
	for _, text := range served {
		group, version, _ := strings.Cut(text, "/")
		gv := schema.GroupVersion{Group: group, Version: version}
		for name, of := range scheme.Scheme.KnownTypes(gv) {
			if !strings.Contains(of.PkgPath(), "/apis/meta/") {
				found = append(found, kind{gv, name, of})
			}
		}
	}
	sort.Slice(found, func(i, j int) bool {
		a, b := found[i], found[j]
		return a.version.String()+" "+a.name < b.version.String()+" "+b.name
	})
	return found
}

// The last two parts of the package and the name: core.v1.Pod.
func name(of reflect.Type) string {
	parts := strings.Split(of.PkgPath(), "/")
	if len(parts) < 2 {
		fail("no package: %v", of)
	}
	return strings.Join(parts[len(parts)-2:], ".") + "." + of.Name()
}

func table() {
	relations := relations()
	messages := map[string]reflect.Type{}
	var visit func(of reflect.Type)
	visit = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(of.Elem())
		case reflect.Struct:
			if _, known := special[of]; known {
				return
			}
			if _, seen := messages[name(of)]; seen {
				return
			}
			messages[name(of)] = of
			for i := range of.NumField() {
				if of.Field(i).Tag.Get("protobuf") != "" {
					visit(of.Field(i).Type)
				}
			}
		}
	}
	all := kinds()
	for _, kind := range all {
		visit(kind.of)
	}
	for _, option := range options {
		visit(reflect.TypeOf(option))
	}
	fmt.Println("# Made by scripts/kubernetes-facts; crates/types/src/schema.rs says what the lines mean.")
	for _, kind := range all {
		fmt.Printf("= %s %s %s\n", kind.version, kind.name, name(kind.of))
	}
	names := make([]string, 0, len(messages))
	for name := range messages {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Println(message(name, messages[name], relations))
	}
	fmt.Print(aggregator)
	fmt.Print(metrics)
}

func message(name string, of reflect.Type, relations map[string]*merge.Map) string {
	line := name
	rules := relations[name]
	if rules != nil && rules.ElementRelationship == merge.Atomic {
		line += " %"
	}
	fields := map[int]string{}
	var numbers []int
	for i := range of.NumField() {
		field := of.Field(i)
		proto := field.Tag.Get("protobuf")
		if proto == "" {
			continue
		}
		parts := strings.Split(proto, ",")
		var number int
		if _, err := fmt.Sscanf(parts[1], "%d", &number); err != nil {
			fail("%s.%s: %v", name, field.Name, err)
		}
		json, flags, _ := strings.Cut(field.Tag.Get("json"), ",")
		text := fmt.Sprintf("%s:%d%s", json, number, code(field.Type, name+"."+field.Name))
		switch {
		case json == "":
			text = fmt.Sprintf("~:%d%s", number, code(field.Type, name+"."+field.Name))
		case field.Type.Kind() == reflect.Pointer:
			text += "?"
		case !strings.Contains(flags, "omit") && scalar(field.Type):
			text += "!"
		}
		if json != "" && rules != nil {
			if rule, known := rules.FindField(json); known {
				text += relation(rule.Type, relations)
			} else {
				fmt.Fprintf(os.Stderr, "no merge rule: %s.%s\n", name, json)
			}
		}
		fields[number] = text + keyed[name+"."+json]
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	for _, number := range numbers {
		line += " " + fields[number]
	}
	return line
}

func scalar(of reflect.Type) bool {
	switch of.Kind() {
	case reflect.String, reflect.Bool, reflect.Int32, reflect.Int64, reflect.Float64:
		return true
	}
	return false
}

// The letters for a type. The tags name its wire type too, but a few of them name a wrong one; the types decide.
func code(of reflect.Type, where string) string {
	if of.Kind() == reflect.Pointer {
		return code(of.Elem(), where)
	}
	if letter, known := special[of]; known {
		return letter
	}
	switch of.Kind() {
	case reflect.String:
		return "s"
	case reflect.Bool:
		return "t"
	case reflect.Int32, reflect.Uint16:
		return "i"
	case reflect.Int64:
		return "l"
	case reflect.Float64:
		return "d"
	case reflect.Struct:
		return "@" + name(of)
	case reflect.Slice:
		if of.Elem().Kind() == reflect.Uint8 {
			return "b"
		}
		if of.Name() == "ExtraValue" || of.Name() == "Verbs" {
			return "E"
		}
		return "[" + code(of.Elem(), where) + "]"
	case reflect.Map:
		return "{" + code(of.Elem(), where) + "}"
	}
	fail("%s is %v", where, of)
	return ""
}

// How structured merges treat the types, by name.
func relations() map[string]*merge.Map {
	folder, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/client-go").Output()
	if err != nil {
		fail("%v", err)
	}
	file := filepath.Join(strings.TrimSpace(string(folder)), "applyconfigurations/internal/internal.go")
	source, err := os.ReadFile(file)
	if err != nil {
		fail("%v", err)
	}
	parts := strings.Split(string(source), "`")
	parser, err := typed.NewParser(typed.YAMLObject(parts[1]))
	if err != nil {
		fail("%v", err)
	}
	found := map[string]*merge.Map{}
	for i := range parser.Schema.Types {
		of := &parser.Schema.Types[i]
		parts := strings.Split(of.Name, ".")
		if of.Map != nil && len(parts) > 3 {
			found[strings.Join(parts[len(parts)-3:], ".")] = of.Map
		}
	}
	return found
}

// Empty is the usual: structs and maps merge, lists are replaced.
func relation(of merge.TypeRef, relations map[string]*merge.Map) string {
	if of.ElementRelationship != nil && *of.ElementRelationship == merge.Atomic {
		return "%"
	}
	if of.Inlined.Map != nil && of.Inlined.Map.ElementRelationship == merge.Atomic {
		return "%"
	}
	list := of.Inlined.List
	if list == nil || list.ElementRelationship != merge.Associative {
		return ""
	}
	if len(list.Keys) == 0 {
		return "+"
	}
	keys := make([]string, 0, len(list.Keys))
	for _, key := range list.Keys {
		text := key
		if list.ElementType.NamedType != nil {
			parts := strings.Split(*list.ElementType.NamedType, ".")
			element := relations[strings.Join(parts[len(parts)-3:], ".")]
			if field, known := element.FindField(key); known && field.Default != nil {
				if fallback := fmt.Sprint(field.Default); fallback != "" {
					text += "=" + fallback
				}
			}
		}
		keys = append(keys, text)
	}
	return "+" + strings.Join(keys, ",")
}

// Objects whose every field is set, by Kubernetes' own encoders: kind, JSON, protobuf in base64.
func golden() {
	encoder := protobuf.NewSerializer(scheme.Scheme, scheme.Scheme)
	for _, kind := range kinds() {
		// Lists are alike: one is enough.
		if strings.HasSuffix(kind.name, "List") && kind.name != "ConfigMapList" || strings.HasSuffix(kind.name, "Options") {
			continue
		}
		filler := &filler{}
		value := reflect.New(kind.of)
		filler.fill(value.Elem())
		object := value.Interface().(runtime.Object)
		object.GetObjectKind().SetGroupVersionKind(kind.version.WithKind(kind.name))
		text, err := json.Marshal(object)
		if err != nil {
			fail("%v", err)
		}
		var wire bytes.Buffer
		if err := encoder.Encode(object, &wire); err != nil {
			fail("%v", err)
		}
		fmt.Printf("%s %s %s %s\n", kind.version, kind.name, text, base64.StdEncoding.EncodeToString(wire.Bytes()))
	}
}

// Gives every field another value.
type filler struct {
	last int
	// A schema holds schemas, which would never end: those within the first are left out.
	schema bool
}

// Whether a value is a schema within another, or several.
func (f *filler) isInner(of reflect.Type) bool {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		inner := of.Elem()
		return f.schema && (inner == reflect.TypeFor[apiextensions.JSONSchemaProps]() ||
			inner == reflect.TypeFor[apiextensions.JSONSchemaPropsOrArray]())
	}
	return false
}

func (f *filler) fill(value reflect.Value) {
	if f.isInner(value.Type()) {
		return
	}
	f.last++
	switch value.Type() {
	case reflect.TypeFor[resource.Quantity]():
		value.Set(reflect.ValueOf(resource.MustParse(fmt.Sprintf("%dMi", f.last))))
		return
	case reflect.TypeFor[metav1.Time]():
		value.Set(reflect.ValueOf(metav1.NewTime(time.Unix(1700000000+int64(f.last), 0).UTC())))
		return
	case reflect.TypeFor[metav1.MicroTime]():
		value.Set(reflect.ValueOf(metav1.NewMicroTime(time.Unix(1700000000, int64(f.last)*1000).UTC())))
		return
	case reflect.TypeFor[intstr.IntOrString]():
		if f.last%2 == 0 {
			value.Set(reflect.ValueOf(intstr.FromInt32(int32(f.last))))
		} else {
			value.Set(reflect.ValueOf(intstr.FromString(fmt.Sprintf("%d%%", f.last))))
		}
		return
	case reflect.TypeFor[runtime.RawExtension]():
		value.Set(reflect.ValueOf(runtime.RawExtension{Raw: []byte(fmt.Sprintf(`{"a":%d}`, f.last))}))
		return
	case reflect.TypeFor[metav1.FieldsV1]():
		value.Set(reflect.ValueOf(*metav1.NewFieldsV1(fmt.Sprintf(`{"f:a%d":{}}`, f.last))))
		return
	case reflect.TypeFor[metav1.TypeMeta]():
		return
	case reflect.TypeFor[apiextensions.JSON]():
		value.Set(reflect.ValueOf(apiextensions.JSON{Raw: []byte(fmt.Sprintf(`{"a":%d}`, f.last))}))
		return
	case reflect.TypeFor[apiextensions.JSONSchemaPropsOrBool]():
		value.Set(reflect.ValueOf(apiextensions.JSONSchemaPropsOrBool{Allows: true}))
		return
	case reflect.TypeFor[apiextensions.JSONSchemaPropsOrStringArray]():
		value.Set(reflect.ValueOf(apiextensions.JSONSchemaPropsOrStringArray{Property: []string{fmt.Sprintf("v%d", f.last)}}))
		return
	case reflect.TypeFor[apiextensions.JSONSchemaProps]():
		f.schema = true
	}
	switch value.Kind() {
	case reflect.String:
		value.SetString(fmt.Sprintf("v%d", f.last))
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int32, reflect.Int64:
		value.SetInt(int64(f.last) * 7)
	case reflect.Float64:
		value.SetFloat(float64(f.last) + 0.5)
	case reflect.Uint16:
		value.SetUint(uint64(f.last))
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		f.fill(value.Elem())
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			value.SetBytes([]byte{byte(f.last), 0, 255})
			return
		}
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		f.fill(value.Index(0))
	case reflect.Map:
		value.Set(reflect.MakeMap(value.Type()))
		key := reflect.New(value.Type().Key()).Elem()
		f.fill(key)
		element := reflect.New(value.Type().Elem()).Elem()
		f.fill(element)
		value.SetMapIndex(key, element)
	case reflect.Struct:
		for i := range value.NumField() {
			if value.Type().Field(i).IsExported() {
				f.fill(value.Field(i))
			}
		}
	default:
		fail("cannot fill %v", value.Type())
	}
}
