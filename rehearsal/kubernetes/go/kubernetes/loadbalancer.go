package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/controllers/service"
	"k8s.io/component-base/metrics/prometheus/controllers"
)

// What a cloud would refuse, on demand: the text becomes the error that the Service's events
// show, once when the load balancer is made, once when it is deleted.
const (
	ensureErrorAnnotation = "rehearsal.docker-ml-api/load-balancer-error"
	deleteErrorAnnotation = "rehearsal.docker-ml-api/load-balancer-delete-error"
)

const clusterName = "rehearsal"

// newLoadBalancerCommand runs the service controller of the cloud providers, finalizers,
// events and retries included, on a cloud whose load balancers are loopback addresses:
// kube-proxy answers on whatever address the status of a Service names.
func newLoadBalancerCommand() *cobra.Command {
	var kubeconfig, first, last string
	command := &cobra.Command{
		Use:          "load-balancer-controller",
		Short:        "Gives Services of type LoadBalancer an address of a range",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			pool, err := newAddressPool(first, last)
			if err != nil {
				return err
			}
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return err
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				return err
			}
			return runServiceController(command.Context(), client, pool)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "the cluster to serve")
	command.Flags().StringVar(&first, "first-address", "127.0.10.1", "the range's first address")
	command.Flags().StringVar(&last, "last-address", "127.0.10.254", "the range's last address")
	return command
}

func runServiceController(ctx context.Context, client kubernetes.Interface, pool *addressPool) error {
	if ctx == nil {
		ctx = context.Background()
	}
	factory := informers.NewSharedInformerFactory(client, 10*time.Minute)
	services := factory.Core().V1().Services()
	cloud := &loopbackCloud{pool: pool, services: services.Lister()}
	controller, err := service.New(cloud, client, services, factory.Core().V1().Nodes(),
		clusterName, utilfeature.DefaultFeatureGate)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	if err := cloud.adopt(); err != nil {
		return err
	}
	controller.Run(ctx, 5, controllers.NewControllerManagerMetrics("load-balancer-controller"))
	return nil
}

type loopbackCloud struct {
	cloudprovider.Interface // what no service controller asks for
	pool                    *addressPool
	services                corelisters.ServiceLister
}

// adopt claims the addresses that Services already have: the controller may have been restarted.
func (c *loopbackCloud) adopt() error {
	services, err := c.services.List(labels.Everything())
	if err != nil {
		return err
	}
	for _, service := range services {
		if address := addressOf(service); address != "" {
			if _, err := c.pool.claim(string(service.UID), address); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *loopbackCloud) ProviderName() string { return "loopback" }
func (c *loopbackCloud) HasClusterID() bool   { return true }
func (c *loopbackCloud) LoadBalancer() (cloudprovider.LoadBalancer, bool) {
	return c, true
}

func (c *loopbackCloud) GetLoadBalancerName(_ context.Context, _ string, service *v1.Service) string {
	return cloudprovider.DefaultLoadBalancerName(service)
}

func (c *loopbackCloud) GetLoadBalancer(_ context.Context, _ string, service *v1.Service) (*v1.LoadBalancerStatus, bool, error) {
	// A claimed address need not be in the status yet: it must be taken back all the same.
	address := c.pool.held(string(service.UID))
	if address == "" {
		address = addressOf(service)
	}
	if address == "" {
		return nil, false, nil
	}
	return statusOf(address), true, nil
}

func (c *loopbackCloud) EnsureLoadBalancer(_ context.Context, _ string, service *v1.Service, _ []*v1.Node) (*v1.LoadBalancerStatus, error) {
	if text := service.Annotations[ensureErrorAnnotation]; text != "" {
		return nil, errors.New(text)
	}
	wanted := addressOf(service)
	if wanted == "" {
		wanted = service.Spec.LoadBalancerIP
	}
	address, err := c.pool.claim(string(service.UID), wanted)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", service.Namespace, service.Name, err)
	}
	return statusOf(address), nil
}

func (c *loopbackCloud) UpdateLoadBalancer(context.Context, string, *v1.Service, []*v1.Node) error {
	return nil // every node's kube-proxy answers
}

func (c *loopbackCloud) EnsureLoadBalancerDeleted(_ context.Context, _ string, service *v1.Service) error {
	if text := service.Annotations[deleteErrorAnnotation]; text != "" {
		return errors.New(text)
	}
	c.pool.release(string(service.UID))
	return nil
}

func addressOf(service *v1.Service) string {
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if ingress.IP != "" {
			return ingress.IP
		}
	}
	return ""
}

func statusOf(address string) *v1.LoadBalancerStatus {
	return &v1.LoadBalancerStatus{Ingress: []v1.LoadBalancerIngress{{IP: address}}}
}
