package main

import (
	"context"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

func newService(uid, address string, annotations map[string]string) *v1.Service {
	service := &v1.Service{ObjectMeta: metav1.ObjectMeta{
		Name: uid, Namespace: "default", UID: types.UID(uid), Annotations: annotations,
	}}
	if address != "" {
		service.Status.LoadBalancer = *statusOf(address)
	}
	return service
}

func newCloud(t *testing.T, services ...*v1.Service) *loopbackCloud {
	t.Helper()
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, service := range services {
		if err := index.Add(service); err != nil {
			t.Fatal(err)
		}
	}
	return &loopbackCloud{
		pool:     newPool(t, "127.0.10.1", "127.0.10.9"),
		services: corelisters.NewServiceLister(index),
	}
}

func ensure(t *testing.T, cloud *loopbackCloud, service *v1.Service) string {
	t.Helper()
	status, err := cloud.EnsureLoadBalancer(context.Background(), "", service, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status.Ingress[0].IP
}

func TestRestartedControllerKeepsAddresses(t *testing.T) {
	old := newService("old", "127.0.10.1", nil)
	cloud := newCloud(t, old, newService("without", "", nil))
	if err := cloud.adopt(); err != nil {
		t.Fatal(err)
	}
	if got := ensure(t, cloud, newService("new", "", nil)); got != "127.0.10.2" {
		t.Errorf("the new Service got %s", got)
	}
	if got := ensure(t, cloud, old); got != "127.0.10.1" {
		t.Errorf("the old Service got %s", got)
	}
}

func TestTwoServicesCannotAdoptOneAddress(t *testing.T) {
	cloud := newCloud(t, newService("a", "127.0.10.1", nil), newService("b", "127.0.10.1", nil))
	if err := cloud.adopt(); err == nil {
		t.Error("no error")
	}
}

func TestAddressThatIsNotInTheStatusYetIsKnown(t *testing.T) {
	cloud, service := newCloud(t), newService("a", "", nil)
	if _, exists, _ := cloud.GetLoadBalancer(context.Background(), "", service); exists {
		t.Error("exists before it is made")
	}
	ensure(t, cloud, service)
	if _, exists, _ := cloud.GetLoadBalancer(context.Background(), "", service); !exists {
		t.Error("unknown after it is made")
	}
	if err := cloud.EnsureLoadBalancerDeleted(context.Background(), "", service); err != nil {
		t.Fatal(err)
	}
	if _, exists, _ := cloud.GetLoadBalancer(context.Background(), "", service); exists {
		t.Error("exists after it is deleted")
	}
}

func TestRefusalsOnDemand(t *testing.T) {
	cloud := newCloud(t)
	service := newService("a", "", map[string]string{
		ensureErrorAnnotation: "quota exceeded",
		deleteErrorAnnotation: "in use",
	})
	if _, err := cloud.EnsureLoadBalancer(context.Background(), "", service, nil); err == nil ||
		!strings.Contains(err.Error(), "quota exceeded") {
		t.Errorf("made: %v", err)
	}
	delete(service.Annotations, ensureErrorAnnotation)
	address := ensure(t, cloud, service)
	if err := cloud.EnsureLoadBalancerDeleted(context.Background(), "", service); err == nil ||
		!strings.Contains(err.Error(), "in use") {
		t.Errorf("deleted: %v", err)
	}
	if got := cloud.pool.held("a"); got != address {
		t.Errorf("holds %q after the refusal, want %s", got, address)
	}
}
