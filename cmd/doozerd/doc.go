// Command doozerd is a node of a doozer cluster.
//
//	doozerd --name a --data-dir /var/lib/doozer --cluster a=h1:8056,b=h2:8056,c=h3:8056
//	doozerd demo
//
// Every flag can be given as an environment variable too: --data-dir as
// DOOZERD_DATA_DIR; a flag on the command line wins.
//
// SIGTERM and SIGINT stop a node in good order: leadership is handed over,
// requests in flight are answered. A second signal stops it at once.
//
// Exit status: 0 after a stop that was asked for; 2 when the node refuses to
// start or ends by an error, with one line on standard error that says why.
package main
