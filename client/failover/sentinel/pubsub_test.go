package sentinel

import (
	"testing"

	"github.com/doozer-store/doozer/client/failover"
)

const switched = `"g1~10.0.0.1~6379~10.0.0.2~6379"`

// Subscriptions and messages, byte for byte, in RESP2.
func TestSubscribe(t *testing.T) {
	src := three()
	w := dial(t, serve(t, Config{Source: src, Self: "n1"}))
	w.send(cmd("SUBSCRIBE +switch-master other") + cmd("PSUBSCRIBE +sw* [-+]sdown [") + cmd("PING") + cmd("PING x") + cmd("INFO"))
	w.want(`*3 "subscribe" "+switch-master" :1 *3 "subscribe" "other" :2 *3 "psubscribe" "+sw*" :3 *3 "psubscribe" "[-+]sdown" :4 *3 "psubscribe" "[" :5`)
	w.want(`*2 "pong" "" *2 "pong" "x"`)
	w.want("-ERR~Can't~execute~'info':~only~(P|S)SUBSCRIBE~/~(P|S)UNSUBSCRIBE~/~PING~/~QUIT~/~RESET~are~allowed~in~this~context")
	src.Elect()
	src.Run("n2")
	w.want(`*3 "message" "+switch-master" ` + switched + ` *4 "pmessage" "+sw*" "+switch-master" ` + switched)
	src.Change(func(v *failover.View) { v.Nodes[0].Alive = false })
	w.want(`*4 "pmessage" "[-+]sdown" "+sdown" "slave~10.0.0.1:6379~10.0.0.1~6379~@~g1~10.0.0.2~6379"`)
	w.send(cmd("UNSUBSCRIBE other") + cmd("PUNSUBSCRIBE") + cmd("UNSUBSCRIBE") + cmd("UNSUBSCRIBE") + cmd("CLIENT ID"))
	w.want(`*3 "unsubscribe" "other" :4 *3 "punsubscribe" "+sw*" :3 *3 "punsubscribe" "[" :2 *3 "punsubscribe" "[-+]sdown" :1`)
	w.want(`*3 "unsubscribe" "+switch-master" :0 *3 "unsubscribe" $-1 :0 :1`)
	w.send(cmd("SUBSCRIBE +switch-master") + cmd("RESET"))
	w.want(`*3 "subscribe" "+switch-master" :1 +RESET`)
	src.Run("n1")
	w.send(cmd("PING"))
	w.want("+PONG")
}

// In RESP3 messages are pushes, between which questions are answered.
func TestSubscribeRESP3(t *testing.T) {
	src := three()
	w := dial(t, serve(t, Config{Source: src, Self: "n1"}))
	w.send(cmd("HELLO 3") + cmd("SUBSCRIBE +switch-master") + cmd("SENTINEL get-master-addr-by-name g1"))
	w.want(`%6 "server" "redis" "version" "7.0.15" "proto" :3 "id" :1 "mode" "sentinel" "modules" *0 >3 "subscribe" "+switch-master" :1 *2 "10.0.0.1" "6379"`)
	src.Run("n2")
	w.want(`>3 "message" "+switch-master" ` + switched)
	w.send(cmd("UNSUBSCRIBE") + cmd("UNSUBSCRIBE"))
	w.want(`>3 "unsubscribe" "+switch-master" :0 >3 "unsubscribe" _ :0`)
}

// A change between a client's coming and its subscription is not lost, and one
// while the view is stale is told when it is fresh.
func TestSubscribeLate(t *testing.T) {
	src := three()
	addr := serve(t, Config{Source: src, Self: "n1"})
	w := dial(t, addr)
	w.send(cmd("PING"))
	w.want("+PONG")
	src.Run("n2")
	w.send(cmd("SUBSCRIBE +switch-master"))
	w.want(`*3 "subscribe" "+switch-master" :1 *3 "message" "+switch-master" ` + switched)
	src.Change(func(v *failover.View) { v.Fresh = false })
	src.Run("n1")
	w.send(cmd("PING"))
	w.want(`*2 "pong" ""`)
	src.Change(func(v *failover.View) { v.Fresh = true })
	w.want(`*3 "message" "+switch-master" "g1~10.0.0.2~6379~10.0.0.1~6379"`)
}

// A hundred subscribers, of which half read nothing: the others are told.
func TestManySubscribers(t *testing.T) {
	src := three()
	addr := serve(t, Config{Source: src, Self: "n1"})
	var all []*wire
	for range 100 {
		w := dial(t, addr)
		w.send(cmd("SUBSCRIBE +switch-master"))
		w.want(`*3 "subscribe" "+switch-master" :1`)
		all = append(all, w)
	}
	for range 5 {
		src.Run("n2")
		for _, w := range all[:50] {
			w.want(`*3 "message" "+switch-master" ` + switched)
		}
		src.Run("n1")
		for _, w := range all[:50] {
			w.want(`*3 "message" "+switch-master" "g1~10.0.0.2~6379~10.0.0.1~6379"`)
		}
	}
}
