<?php
// Ask Puppet for the category of a ticket: php search.php "Je n'arrive plus à me connecter". PHP 8, no extension.

$address = getenv('PUPPET_URL') ?: 'http://127.0.0.1:8000';
$headers = ['Content-Type: application/json', 'X-Timeout-Ms: 2000'];
if (getenv('PUPPET_TOKEN')) {
    $headers[] = 'Authorization: Bearer ' . getenv('PUPPET_TOKEN');
}
$ticket = ['name' => 'puppet-o2', 'neural_network_type' => 'GRU', 'text' => $argv[1], 'top_k' => 3];

$request = ['method' => 'POST', 'header' => $headers, 'content' => json_encode($ticket), 'ignore_errors' => true];
$said = file_get_contents("$address/search", false, stream_context_create(['http' => $request]));
$answer = json_decode($said, true);
if (!isset($answer['category'])) {
    fwrite(STDERR, $answer['detail'] . "\n"); // `type` is for programs, `detail` for people
    exit(1);
}
printf("%s %.3f\n", $answer['category'], $answer['confidence']);
